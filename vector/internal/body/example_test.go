// SPDX-License-Identifier: Apache-2.0

package body_test

import (
	"fmt"

	"github.com/outkpl/outkpl/vector/internal/body"
)

func Example() {
	var unpacker body.Unpacker // one for all requests
	wire := []byte(`[{"host":"web-1","message":"hello"},{"host":"web-\u0032"}]`)

	format, err := body.FormatOf("application/json; charset=utf-8", "/streams/logs")
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := unpacker.Unpack("identity", wire, body.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	opt := body.Options{Path: []string{"host"}}
	events, err := body.Split(nil, data, format, opt)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range events {
		key, _, _ := opt.Field(nil, &events[i])
		fmt.Printf("%s %s\n", key, events[i].Data)
	}
	// Output:
	// web-1 {"host":"web-1","message":"hello"}
	// web-2 {"host":"web-\u0032"}
}

func ExampleSplit_error() {
	_, err := body.Split(nil, []byte(`[{"a":1},{"b":}]`), body.FormatJSON, body.Options{})
	fmt.Println(err)
	// Output: cannot read body: malformed: unexpected byte at offset 14 (event 1)
}
