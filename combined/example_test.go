// SPDX-License-Identifier: Apache-2.0

package combined_test

import (
	"fmt"

	"github.com/outkpl/outkpl/combined"
)

func ExampleDecoder() {
	var d combined.Decoder
	r, err := d.Decode([]byte("{\"level\":\"info\"}\n\"java.lang.Error\\n\\tat Main\"\nplain text\n"))
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Compression, r.Form)
	for number, event := range r.Events {
		fmt.Printf("%d %q\n", number, event)
	}
	// Output:
	// none lines
	// 0 "{\"level\":\"info\"}"
	// 1 "java.lang.Error\n\tat Main"
	// 2 "plain text"
}
