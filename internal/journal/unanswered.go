// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"time"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core"
)

// fieldUnanswered is the tag of the field of a frame of kindSent that has, for each Kinesis
// record, what is needed to look for it.
const fieldUnanswered = 1

// fieldARN is the tag of the field that has the ARN by which the stream was named.
const fieldARN = 2

const (
	lookThere = 1 << iota
	lookAfter // a sequence number follows
	lookPlace // it is the one that the frame has for the shard
)

// appendUnanswered writes the field. It is left out if no record can be looked for.
func (j *Journal) appendUnanswered(stream string) {
	b, some := j.unanswered[:0], false
	for i := range j.parts {
		d := &j.parts[i].look
		if !j.parts[i].can {
			b = append(b, 0)
			continue
		}
		some = true
		switch d.After {
		case "":
			b = append(b, lookThere)
		case j.last[place{stream, d.ShardID}]:
			b = append(b, lookThere|lookPlace)
		default:
			b = append(b, lookThere|lookAfter)
			b = binary.AppendUvarint(b, uint64(len(d.After)))
			b = append(b, d.After...)
		}
		b = binary.AppendUvarint(b, uint64(max(d.Since.UnixMilli(), 0)))
		for _, h := range []aggregation.HashKey{d.Hash, d.First, d.Last} {
			b = binary.LittleEndian.AppendUint64(b, h.Hi)
			b = binary.LittleEndian.AppendUint64(b, h.Lo)
		}
	}
	if j.unanswered = b; some {
		j.enc.uint(fieldUnanswered)
		j.enc.bytes(b)
	}
}

// unanswered is what the field has of one Kinesis record.
type unanswered struct {
	after             string
	afterPlace        bool // after is that of the shard
	since             time.Time
	hash, first, last aggregation.HashKey
}

// readUnanswered reads the field. Of a record that cannot be looked for it has nil.
func readUnanswered(field []byte) (list []*unanswered) {
	d := decoder{b: field}
	for len(d.b) > 0 {
		flags := d.byte()
		if flags&lookThere == 0 {
			list = append(list, nil)
			continue
		}
		one := &unanswered{afterPlace: flags&lookPlace != 0}
		if flags&lookAfter != 0 {
			one.after = string(d.bytes())
		}
		one.since = time.UnixMilli(int64(d.uint()))
		for _, h := range []*aggregation.HashKey{&one.hash, &one.first, &one.last} {
			if len(d.b) < 16 {
				return nil
			}
			h.Hi, h.Lo = binary.LittleEndian.Uint64(d.b), binary.LittleEndian.Uint64(d.b[8:])
			d.b = d.b[16:]
		}
		if d.bad {
			return nil
		}
		list = append(list, one)
	}
	return list
}

// of makes what the producer takes.
func (d *unanswered) of(q *UncertainRecord) *core.Unanswered {
	out := &core.Unanswered{
		Stream: q.Stream, ShardID: q.ShardID, PartitionKey: q.PartitionKey, After: d.after, Since: d.since,
		Hash: d.hash, First: d.first, Last: d.last,
	}
	if d.afterPlace {
		out.After = q.After
	}
	return out
}
