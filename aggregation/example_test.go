// SPDX-License-Identifier: Apache-2.0

package aggregation_test

import (
	"fmt"

	"github.com/outkpl/outkpl/aggregation"
)

// Pack three user records into one Kinesis record and take them out again.
func Example() {
	var b aggregation.Builder
	b.Add("user-1", []byte("login"))
	b.Add("user-2", []byte("login"))
	b.AddExplicit("user-1", aggregation.MaxHashKey, []byte("logout"))

	blob := b.AppendTo(nil)
	fmt.Println(b.Len(), "records in", len(blob), "bytes")
	b.Reset() // ready for the next aggregate

	recs, aggregated := aggregation.Deaggregate("a", "", blob)
	fmt.Println("aggregated:", aggregated)
	for _, r := range recs {
		k, err := r.HashKey()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %s at %s\n", r.PartitionKey, r.Data, k)
	}
	// Output:
	// 3 records in 113 bytes
	// aggregated: true
	// user-1 login at 285573413173782752570879317399258818820
	// user-2 login at 81544010656874607678696621737415172275
	// user-1 logout at 340282366920938463463374607431768211455
}

// Keep aggregates within a limit, without a trial encoding.
func ExampleBuilder_SizeWith() {
	const limitBytes = 64
	var b aggregation.Builder
	for _, word := range []string{"one", "two", "three", "four", "five"} {
		if b.Len() > 0 && b.SizeWith("key", []byte(word)) > limitBytes {
			fmt.Println("send", b.Len(), "records,", b.Size(), "bytes")
			b.Reset()
		}
		b.Add("key", []byte(word))
	}
	fmt.Println("left", b.Len(), "records,", b.Size(), "bytes")
	// Output:
	// send 4 records, 64 bytes
	// left 1 records, 35 bytes
}

func ExampleParseHashKey() {
	k, err := aggregation.ParseHashKey("007")
	fmt.Println(k, err)
	_, err = aggregation.ParseHashKey("-7")
	fmt.Println(err)
	// Output:
	// 7 <nil>
	// cannot parse explicit hash key (allowed: decimal 0 to 2^128-1): byte 0 is not a digit
}
