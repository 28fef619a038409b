// SPDX-License-Identifier: Apache-2.0

package aggregation

import (
	"bytes"
	"crypto/md5"
)

// UserRecord is one record taken out of a Kinesis record.
type UserRecord struct {
	// PartitionKey is the key the producer gave, as raw bytes; it need not be
	// valid UTF-8.
	PartitionKey string
	// ExplicitHashKey is the decimal number the producer gave, "" if it gave
	// none. It is passed on as found, even if it is not a number.
	ExplicitHashKey string
	// Data is the payload, a view of the bytes given to Deaggregate.
	Data []byte
	// Tags are rare: no known producer writes them.
	Tags []Tag
}

// Tag is a name with an optional value attached to a user record.
type Tag struct {
	Key string
	// Value is "" if there is none.
	Value string
}

// HashKey returns the record's effective position on the hash ring: its
// explicit hash key, or else the MD5 of its partition key. It fails if the
// explicit hash key is not a decimal number from 0 to 2^128-1.
func (u UserRecord) HashKey() (HashKey, error) {
	if u.ExplicitHashKey != "" {
		return ParseHashKey(u.ExplicitHashKey)
	}
	return HashPartitionKey(u.PartitionKey), nil
}

// IsAggregated reports whether blob has the frame of an aggregate: the magic
// bytes, something between, and the matching MD5. It does not parse the message,
// so [Deaggregate] can still come to the conclusion that it is none. An empty
// message does not count, as in the Kinesis Client Library.
func IsAggregated(blob []byte) bool {
	_, ok := unframe(blob)
	return ok
}

// unframe returns the protobuf message of a blob with a valid frame.
func unframe(blob []byte) ([]byte, bool) {
	if len(blob) <= frameBytes || string(blob[:len(magic)]) != magic {
		return nil, false
	}
	end := len(blob) - digestBytes
	msg := blob[len(magic):end]
	sum := md5.Sum(msg)
	return msg, bytes.Equal(sum[:], blob[end:])
}

// Deaggregate returns the user records of a Kinesis record and whether it was an
// aggregate. What is not one comes back as a single record with the arguments in
// it and false: too short, another magic, another MD5, a message that breaks the
// protobuf rules, lacks a required field, holds no record, or refers to a table
// entry that does not exist. It never panics, whatever the bytes.
// The Kinesis Client Library differs in the last two: it delivers nothing of an
// aggregate without a record, and fails on an entry that does not exist.
//
// It is lenient where that loses nothing: unknown fields and groups are skipped, tables may
// follow the records, and explicit hash key indices without any explicit hash
// key table (some writers produce them) are ignored. The Kinesis Client Library fails
// on those.
//
// The Data of the results are views of data, not copies. Hash keys are not
// checked; see [UserRecord.HashKey].
func Deaggregate(partitionKey, explicitHashKey string, data []byte) (recs []UserRecord, aggregated bool) {
	if msg, ok := unframe(data); ok {
		if recs, ok = parseAggregate(msg); ok {
			return recs, true
		}
	}
	return []UserRecord{{PartitionKey: partitionKey, ExplicitHashKey: explicitHashKey, Data: data}}, false
}

// parseAggregate parses an AggregatedRecord message with at least one record.
func parseAggregate(msg []byte) ([]UserRecord, bool) {
	// Tables may legally follow the records and the number of records is not
	// announced, hence two passes.
	var pks, ehks []string
	var count int
	r := wireReader{rest: msg}
	for r.next() {
		switch r.tag() {
		case tagPartitionKey:
			pks = append(pks, string(r.bytes))
		case tagExplicitHashKey:
			ehks = append(ehks, string(r.bytes))
		case tagRecord:
			count++
		}
	}
	if r.bad || count == 0 {
		return nil, false
	}
	recs := make([]UserRecord, 0, count)
	for r = (wireReader{rest: msg}); r.next(); {
		if r.tag() != tagRecord {
			continue
		}
		rec, ok := parseRecord(r.bytes, pks, ehks)
		if !ok {
			return nil, false
		}
		recs = append(recs, rec)
	}
	return recs, true
}

// parseRecord parses a Record message. A field given twice counts as last given. Of an
// index 32 bits count, as for the Kinesis Client Library.
func parseRecord(msg []byte, pks, ehks []string) (rec UserRecord, ok bool) {
	const tagTag = 4<<3 | wireBytes
	var pk, ehk int32
	var hasPK, hasEHK, hasData bool
	r := wireReader{rest: msg}
	for r.next() {
		switch r.tag() {
		case tagPartitionKeyIndex:
			pk, hasPK = int32(uint32(r.value)), true
		case tagExplicitHashKeyIndex:
			ehk, hasEHK = int32(uint32(r.value)), true
		case tagData:
			rec.Data, hasData = r.bytes, true
		case tagTag:
			tag, ok := parseTag(r.bytes)
			if !ok {
				return rec, false
			}
			rec.Tags = append(rec.Tags, tag)
		}
	}
	if r.bad || !hasPK || !hasData || pk < 0 || int(pk) >= len(pks) {
		return rec, false
	}
	rec.PartitionKey = pks[pk]
	if hasEHK && len(ehks) > 0 {
		if ehk < 0 || int(ehk) >= len(ehks) {
			return rec, false
		}
		rec.ExplicitHashKey = ehks[ehk]
	}
	return rec, true
}

// parseTag parses a Tag message.
func parseTag(msg []byte) (tag Tag, ok bool) {
	const (
		tagKey   = 1<<3 | wireBytes
		tagValue = 2<<3 | wireBytes
	)
	r := wireReader{rest: msg}
	for r.next() {
		switch r.tag() {
		case tagKey:
			tag.Key, ok = string(r.bytes), true
		case tagValue:
			tag.Value = string(r.bytes)
		}
	}
	return tag, ok && !r.bad
}
