// SPDX-License-Identifier: Apache-2.0

package kcl

import (
	"crypto/md5"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/emulators"
	"github.com/outkpl/outkpl/internal/emulators/emulatorstest"
)

// message is an aggregate in the making, also a wrong one.
type message []byte

func (m message) key(s string) message     { return m.text(1, s) }
func (m message) hashKey(s string) message { return m.text(2, s) }

func (m message) text(n protowire.Number, s string) message {
	return protowire.AppendString(protowire.AppendTag(m, n, protowire.BytesType), s)
}

func (m message) number(n protowire.Number, v uint64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, n, protowire.VarintType), v)
}

// record adds a user record: the index of its key, and that of its explicit hash key.
func (m message) record(indices ...uint64) message {
	var r message
	for i, v := range indices {
		r = r.number(protowire.Number(i+1), v)
	}
	return m.text(3, string(r.text(3, "data")))
}

func (m message) frame() []byte {
	sum := md5.Sum(m)
	return slices.Concat([]byte("\xf3\x89\x9a\xc2"), m, sum[:])
}

// first and last are the range of the shard of the cases; table are tables for them.
var (
	first, last = aggregation.HashKey{Lo: 10}, aggregation.HashKey{Lo: 20}
	table       = message(nil).key("k").hashKey("10").hashKey("21").hashKey("9").hashKey("20").hashKey("abc")
)

func wrongSum(frame []byte) []byte {
	frame[len(frame)-1] ^= 1
	return frame
}

// cases are Kinesis records, and what KCL makes of them.
var cases = []struct {
	name      string
	data      []byte
	misplaced bool
	out       []bool
	err       string
}{
	{"not an aggregate", []byte("x"), false, nil, ""},
	{"a wrong checksum", wrongSum(table.record(0, 1).frame()), false, nil, ""},
	{"digits of other scripts", message(nil).key("k").hashKey("\u0661\uff15").hashKey("+1\u0668").record(0, 0).record(0, 1).frame(), false, nil, ""},
	{"digits of other scripts out of range", message(nil).key("k").hashKey("\u09e8\u09e7").record(0, 0).frame(), true, []bool{true}, ""},
	{"digits beyond U+FFFF", message(nil).key("k").hashKey("1\U0001d7d8").record(0, 0).frame(), false, nil, "is not a number"},
	{"an empty explicit hash key", message(nil).key("k").hashKey("").record(0, 0).frame(), false, nil, "is not a number"},
	{"an index of 33 bits", table.record(1<<32, 1<<32).frame(), false, nil, ""},
	{"a group", append(table.record(0, 0), 0x2b, 0x2c).frame(), false, nil, ""},
	{"all in range, to both ends", table.record(0, 0).record(0, 3).frame(), false, nil, ""},
	{"the last is out of range", table.record(0, 0).record(0, 1).frame(), true, []bool{false, true}, ""},
	{"the first is out of range", table.record(0, 2).record(0, 0).frame(), true, []bool{true, false}, ""},
	{"the MD5 of the key is out of range", table.record(0, 0).record(0).frame(), true, []bool{false, true}, ""},
	{"signs and zeros", message(nil).key("k").hashKey("+10").hashKey("0011").record(0, 0).record(0, 1).frame(), false, nil, ""},
	{"below the ring", message(nil).key("k").hashKey("-15").record(0, 0).frame(), true, []bool{true}, ""},
	{"above the ring", message(nil).key("k").hashKey("340282366920938463463374607431768211456").record(0, 0).frame(), true, []bool{true}, ""},
	{"no number", table.record(0, 0).record(0, 4).frame(), false, nil, "user record 1: its explicit hash key is not a number"},
	{"no digits", message(nil).key("k").hashKey("").record(0, 0).frame(), false, nil, "user record 0: its explicit hash key is not a number"},
	{"only a sign", message(nil).key("k").hashKey("-").record(0, 0).frame(), false, nil, "not a number"},
	{"no number, then out of range", table.record(0, 4).record(0, 1).frame(), false, nil, "user record 0"},
	{"out of range, then no number", table.record(0, 1).record(0, 4).frame(), true, []bool{true, false}, ""},
	{"key past its table", table.record(1, 0).frame(), false, nil, "user record 0: partition key index 1 is past its table of 1"},
	{"explicit hash key past its table", table.record(0, 5).frame(), false, nil, "user record 0: explicit hash key index 5 is past its table of 5"},
	{"no table of explicit hash keys", message(nil).key("k").record(0, 0).frame(), false, nil, "explicit hash key index 0 is past its table of 0"},
	{"an index that a cast makes negative", table.record(0, 1<<31).frame(), false, nil, "index 2147483648"},
	{"an index that a cast makes valid", table.record(1<<32, 0).frame(), false, nil, ""},
	{"no user records", message(nil).key("k").frame(), false, nil, "the aggregate has no user records"},
	{"a required field is missing", table.text(3, "\x08\x00").frame(), false, nil, ""},
	{"a tag without key", table.text(3, string(message(nil).number(1, 0).text(3, "").text(4, ""))).frame(), false, nil, ""},
	{"a message that is cut off", table.record(0, 1)[:60].frame(), false, nil, ""},
	{"unknown fields", table.number(7, math.MaxUint64).record(0, 1).frame(), true, []bool{true}, ""},
}

func TestRuleOfKCL(t *testing.T) {
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got := Read(tc.data, first, last)
			if got.Misplaced != tc.misplaced || !slices.Equal(got.OutOfRange, tc.out) || (got.Err != nil) != (tc.err != "") {
				t.Fatalf("unexpected result; got %+v; want misplaced %t, %v out of range, error %q", got, tc.misplaced, tc.out, tc.err)
			}
			if got.Err != nil && !strings.Contains(got.Err.Error(), tc.err) {
				t.Errorf("unexpected error; got %q; want %q", got.Err, tc.err)
			}
			if want := tc.misplaced || tc.err != ""; got.Dropped() != want {
				t.Errorf("unexpected Dropped; got %t; want %t", got.Dropped(), want)
			}
		})
	}
}

// KCL's own class makes the same of each case, and of the key that is not UTF-8.
func TestRuleIsThatOfTheRealKCL(t *testing.T) {
	emulatorstest.RequireJVM(t)
	const key = "k\xff\xed\xa0\x80\xe2\x82"
	shards := []emulators.KCLShard{{ID: key, StartingHashKey: "0", EndingHashKey: aggregation.MaxHashKey.String(), Records: []emulators.Record{
		{PartitionKey: "a", SequenceNumber: "0", Data: message(nil).key(key).record(0).frame()},
	}}}
	for i, tc := range cases {
		shards = append(shards, emulators.KCLShard{ID: tc.name, StartingHashKey: first.String(), EndingHashKey: last.String(), Records: []emulators.Record{
			{PartitionKey: "a", SequenceNumber: strconv.Itoa(i + 1), Data: tc.data},
		}})
	}
	users, err := emulators.DeaggregateKCL(t.Context(), shards)
	delivered := map[string][]emulators.KCLUserRecord{}
	for _, u := range users {
		delivered[u.SequenceNumber] = append(delivered[u.SequenceNumber], u)
	}
	for i, tc := range cases {
		res := Read(tc.data, first, last)
		got := delivered[strconv.Itoa(i+1)]
		// It fails silently on no user records.
		threw := err != nil && strings.Contains(err.Error(), " at shard "+tc.name+",")
		if want := res.Err != nil && tc.name != "no user records"; threw != want || (len(got) == 0) != res.Dropped() {
			t.Errorf("%s: unexpected agreement; the KCL threw: %t, and delivered %d user records; Read returned %+v", tc.name, threw, len(got), res)
		}
	}
	if got := delivered["0"]; len(got) != 1 || got[0].PartitionKey != DecodeUTF8(key) {
		t.Errorf("unexpected key of the KCL; got %+v; want %q", got, DecodeUTF8(key))
	}
}

// A shard that holds exactly the hash of the bytes does not hold that of Java's text.
func TestKeysThatAreNotUTF8AreHashedAsJavaDoes(t *testing.T) {
	const key = "k\xff\xfe"
	data := message(nil).key(key).record(0).frame()
	bytes, text := aggregation.HashPartitionKey(key), aggregation.HashPartitionKey("k\ufffd\ufffd")
	if got := Read(data, bytes, bytes); !got.Misplaced {
		t.Errorf("unexpected result in the shard of the bytes; got %+v; want it misplaced", got)
	}
	if got := Read(data, text, text); got.Dropped() {
		t.Errorf("unexpected result in the shard of the text; got %+v; want it delivered", got)
	}
}

// FuzzRead checks that nothing makes Read panic, and that what the builder of this
// project writes is never what KCL fails on.
func FuzzRead(f *testing.F) {
	f.Add([]byte(message(nil).key("k").hashKey("1").record(0, 0)), "key", "data", uint64(1))
	f.Fuzz(func(t *testing.T, msg []byte, key, data string, n uint64) {
		Read(message(msg).frame(), aggregation.HashKey{}, aggregation.MaxHashKey)
		var b aggregation.Builder
		b.Add(key, []byte(data))
		b.AddExplicit(key, aggregation.HashKey{Hi: n, Lo: ^n}, []byte(data))
		if got := Read(b.AppendTo(nil), aggregation.HashKey{}, aggregation.MaxHashKey); got.Dropped() {
			t.Errorf("unexpected result of an aggregate of the builder; got %+v; want it delivered", got)
		}
	})
}

// Whatever is given to the encoder, KCL does not fail on it.
func TestTheEncoderMakesNothingThatKCLFailsOn(t *testing.T) {
	r := rand.New(rand.NewPCG(16, 10))
	for range 2000 {
		var b aggregation.Builder
		for range 1 + r.IntN(40) {
			key := strings.Repeat(string(rune(r.IntN(0x3000))), r.IntN(9))
			if r.IntN(2) == 0 {
				b.Add(key, make([]byte, r.IntN(30)))
				continue
			}
			k := aggregation.HashKey{Hi: r.Uint64() >> r.IntN(65), Lo: r.Uint64() >> r.IntN(65)}
			b.AddExplicit(key, k, make([]byte, r.IntN(30)))
		}
		blob := b.AppendTo(nil)
		if res := Read(blob, aggregation.HashKey{}, aggregation.MaxHashKey); res.Dropped() {
			t.Fatalf("unexpected result for %x; got %+v; want it delivered", blob, res)
		}
	}
}
