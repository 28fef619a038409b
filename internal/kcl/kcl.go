// SPDX-License-Identifier: Apache-2.0

package kcl

import (
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/outkpl/outkpl/aggregation"
)

// Result is what KCL makes of a Kinesis record. The zero value is a record that
// KCL delivers whole.
type Result struct {
	// Misplaced is set if a user record is out of the range of the shard. KCL then
	// drops the whole aggregate, without an error.
	Misplaced bool
	// Err is what KCL fails on, if it does.
	Err error
	// OutOfRange has an element for each user record if Misplaced is set: whether this
	// user record is itself out of range.
	OutOfRange []bool
}

// Dropped reports whether consumers cannot count on any user record of it.
func (r *Result) Dropped() bool { return r.Misplaced || r.Err != nil }

// Read returns what KCL makes of the data of a Kinesis record that it reads from
// a shard with the hash keys first to last.
func Read(data []byte, first, last aggregation.HashKey) Result {
	if !aggregation.IsAggregated(data) {
		return Result{}
	}
	var a aggregate
	if !a.parse(data[magicBytes : len(data)-md5.Size]) {
		return Result{} // delivered as it is
	}
	var res Result
	out := make([]bool, len(a.records))
	hashes := make([]aggregation.HashKey, len(a.keys))
	for i, key := range a.keys {
		hashes[i] = hashOf(DecodeUTF8(key))
	}
	for i, r := range a.records {
		k, inRing, err := a.hashKey(r, hashes)
		if err != nil {
			if !res.Dropped() { // KCL stops at the first
				res.Err = fmt.Errorf("user record %d: %w", i, err)
			}
			continue
		}
		if out[i] = !inRing || k.Less(first) || last.Less(k); out[i] && res.Err == nil {
			res.Misplaced = true
		}
	}
	if len(a.records) == 0 {
		res.Err = errors.New("the aggregate has no user records")
	}
	if res.Misplaced {
		res.OutOfRange = out
	}
	return res
}

// magicBytes is the length of what aggregates begin with.
const magicBytes = 4

// aggregate is the message in an aggregate, as far as it matters for hash keys.
type aggregate struct {
	keys, hashKeys []string
	records        []record
}

// record is a user record.
type record struct {
	key, hashKey uint64 // indices
	hasHashKey   bool
}

// parse reports whether Java's parser takes the message. It has a parser of its own,
// so that it finds what aggregation.Deaggregate does not tell.
func (a *aggregate) parse(msg []byte) bool {
	return eachField(msg, func(f field) bool {
		switch {
		case f.is(1, protowire.BytesType):
			a.keys = append(a.keys, string(f.bytes))
		case f.is(2, protowire.BytesType):
			a.hashKeys = append(a.hashKeys, string(f.bytes))
		case f.is(3, protowire.BytesType):
			r, ok := parseRecord(f.bytes)
			a.records = append(a.records, r)
			return ok
		}
		return true
	})
}

func parseRecord(msg []byte) (r record, ok bool) {
	var hasKey, hasData bool
	ok = eachField(msg, func(f field) bool {
		switch {
		case f.is(1, protowire.VarintType):
			r.key, hasKey = f.value, true
		case f.is(2, protowire.VarintType):
			r.hashKey, r.hasHashKey = f.value, true
		case f.is(3, protowire.BytesType):
			hasData = true
		case f.is(4, protowire.BytesType): // a tag needs a key
			named := false
			return eachField(f.bytes, func(f field) bool {
				named = named || f.is(1, protowire.BytesType)
				return true
			}) && named
		}
		return true
	})
	return r, ok && hasKey && hasData
}

// hashKey returns the hash key of a user record, and whether it is in the ring at
// all. It fails where KCL does. hashes are those of the partition keys.
func (a *aggregate) hashKey(r record, hashes []aggregation.HashKey) (k aggregation.HashKey, inRing bool, err error) {
	// KCL casts indices to int.
	key := int32(uint32(r.key))
	if key < 0 || int(key) >= len(hashes) {
		return k, false, fmt.Errorf("partition key index %d is past its table of %d", r.key, len(a.keys))
	}
	if !r.hasHashKey {
		return hashes[key], true, nil
	}
	i := int32(uint32(r.hashKey))
	if i < 0 || int(i) >= len(a.hashKeys) {
		return k, false, fmt.Errorf("explicit hash key index %d is past its table of %d", r.hashKey, len(a.hashKeys))
	}
	return parseNumber(a.hashKeys[i])
}

// parseNumber reads a number as Java's BigInteger does, which takes the digits of all
// scripts up to U+FFFF. A number out of the ring is no error.
func parseNumber(s string) (k aggregation.HashKey, inRing bool, err error) {
	digits := strings.Map(latinDigit, s)
	if s != "" && (s[0] == '+' || s[0] == '-') {
		digits = digits[1:]
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return k, false, errors.New("its explicit hash key is not a number")
	}
	k, err = aggregation.ParseHashKey(digits)
	if err != nil || s[0] == '-' && k != (aggregation.HashKey{}) {
		return k, false, nil
	}
	return k, true, nil
}

// latinDigit is the Latin digit of the same value for the digit of another script. Digits
// come in tens, zero first.
func latinDigit(c rune) rune {
	if c > unicode.MaxASCII && c <= 0xffff {
		for _, r := range unicode.Nd.R16 {
			if rune(r.Lo) <= c && c <= rune(r.Hi) {
				return '0' + (c-rune(r.Lo))%10
			}
		}
	}
	return c
}

// hashOf does not use the producer's arithmetic: a mistake in it shall show.
func hashOf(key string) aggregation.HashKey {
	sum := md5.Sum([]byte(key))
	return aggregation.HashKey{Hi: binary.BigEndian.Uint64(sum[:8]), Lo: binary.BigEndian.Uint64(sum[8:])}
}

// field is a field of a protobuf message.
type field struct {
	number protowire.Number
	wire   protowire.Type
	value  uint64
	bytes  []byte
}

func (f field) is(number protowire.Number, wire protowire.Type) bool {
	return f.number == number && f.wire == wire
}

// eachField calls do for each field. It returns false if the message breaks the
// rules of protobuf, or do returns false.
func eachField(msg []byte, do func(field) bool) bool {
	for len(msg) > 0 {
		f := field{}
		var n int
		if f.number, f.wire, n = protowire.ConsumeTag(msg); n < 0 {
			return false
		}
		msg = msg[n:]
		switch f.wire {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(msg)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(msg)
		default:
			n = protowire.ConsumeFieldValue(f.number, f.wire, msg)
		}
		if n < 0 || !do(f) {
			return false
		}
		msg = msg[n:]
	}
	return true
}
