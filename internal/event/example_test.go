// SPDX-License-Identifier: Apache-2.0

package event_test

import (
	"fmt"
	"io"

	"github.com/outkpl/outkpl/internal/event"
)

func Example() {
	// One event in Fluent Bit's layout: [[time, metadata], body].
	chunk := []byte("\x92\x92\xd7\x00\x65\x53\xf1\x00\x07\x5b\xcd\x15\x80" +
		"\x82\xa3log\xa5hello\xa3pod\xa3a-1")

	shaper, err := event.NewShaper(event.Config{
		PartitionKey:  "pod",
		TimeKey:       "time",
		TimeKeyFormat: "%FT%T.%LZ",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var b event.Builder
	var ev event.Event
	for r := event.NewChunkReader(chunk); ; {
		err := r.Next(&ev)
		if err == io.EOF {
			break
		}
		if err == nil {
			_, err = b.Add(shaper, "kube.shop", &ev)
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	for _, rec := range b.Records() {
		fmt.Println(rec.PartitionKey, string(rec.Data))
	}
	// Output: a-1 {"log":"hello","pod":"a-1","time":"2023-11-14T22:13:20.123Z"}
}
