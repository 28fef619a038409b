// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/plural"
)

// Producer is what Stream needs of *core.Producer.
type Producer interface {
	// PutBatch hands records over; see core.Producer.
	PutBatch(ctx context.Context, stream string, records []core.Record) (*core.Batch, error)
}

// Stream is a Sink that writes each dead letter to a Kinesis stream, as the line it
// would be in a file, without the line's end.
//
// Dead letters are larger than the data in them, by a third and some hundred bytes. As
// many dead letters are there because their record was too large, the stream should
// have a higher limit than the stream of the records (UpdateMaxRecordSize); a dead letter
// that is too large is not kept, and the error says so.
type Stream struct {
	producer Producer
	stream   string
}

// maxStreamRecord is the largest record that a stream can be told to take. More is not even
// encoded.
const maxStreamRecord = 10 << 20

// NewStream makes a sink for a stream, given by name or ARN. The producer remains
// the caller's, who closes it after the sink.
func NewStream(producer Producer, stream string) *Stream {
	return &Stream{producer, stream}
}

// Write implements Sink. It returns when the stream has confirmed every dead letter, or
// refused it for good, or ctx ends.
func (s *Stream) Write(ctx context.Context, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	var f failures
	var records []core.Record
	var indexes []int // of records in dead letters
	for i := range entries {
		if n := base64.StdEncoding.EncodedLen(len(entries[i].Data)); n > maxStreamRecord {
			f.add(i, &core.RecordError{Stream: s.stream, Reason: core.ReasonTooLarge, Detail: fmt.Sprintf("the data have %d bytes in base64; a stream takes at most %d", n, maxStreamRecord)})
			f.hopeless = append(f.hopeless, i)
			continue
		}
		var buf bytes.Buffer
		if err := appendLine(&buf, &entries[i]); err != nil {
			f.add(i, err)
			f.hopeless = append(f.hopeless, i)
			continue
		}
		// Without a key: that of the record may be what is wrong with it.
		records = append(records, core.Record{Data: bytes.TrimSuffix(buf.Bytes(), []byte("\n"))})
		indexes = append(indexes, i)
	}
	if len(records) == 0 {
		return f.err()
	}
	batch, err := s.producer.PutBatch(ctx, s.stream, records)
	if batch == nil {
		return fmt.Errorf("cannot write %s to stream %s: %w", plural.Count(len(entries), "dead letter"), s.stream, err)
	}
	werr := batch.WaitSettled(ctx)
	for j := range records {
		switch r := batch.Result(j); {
		case r.Err != nil:
			f.add(indexes[j], r.Err)
			if r.Err.Reason.Permanent() {
				f.hopeless = append(f.hopeless, indexes[j])
			}
		case !r.Settled:
			f.add(indexes[j], fmt.Errorf("not confirmed in time: %w", werr))
		}
	}
	return f.err()
}

// Close implements Sink. It does nothing: no dead letter is under way outside of Write.
func (s *Stream) Close(context.Context) error { return nil }

// failures collects the dead letters that were not kept.
type failures struct {
	indexes  []int
	hopeless []int
	first    []error
}

func (f *failures) add(i int, err error) {
	f.indexes = append(f.indexes, i)
	if len(f.first) < 3 {
		f.first = append(f.first, fmt.Errorf("dead letter %d: %w", i, err))
	}
}

func (f *failures) err() error {
	if len(f.indexes) == 0 {
		return nil
	}
	slices.Sort(f.indexes)
	slices.Sort(f.hopeless)
	return &WriteError{Failed: f.indexes, Hopeless: f.hopeless, Err: errors.Join(f.first...)}
}
