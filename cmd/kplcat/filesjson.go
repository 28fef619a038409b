// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/outkpl/outkpl/cmd/kplcat/internal/reader"
)

// jsonRecord is a Kinesis record as several programs print it. encoding/json does not
// mind the case of names, so that this covers GetRecords (Data, PartitionKey) and the
// events of Lambda (kinesis.data, kinesis.partitionKey).
type jsonRecord struct {
	Data                        *[]byte
	PartitionKey                string
	ExplicitHashKey             string
	SequenceNumber              string
	ApproximateArrivalTimestamp json.RawMessage
	EventID                     string // "shardId-000000000000:4954..."
	Kinesis                     *jsonRecord
}

// jsonDocument is a page of records, or a record.
type jsonDocument struct {
	Records []json.RawMessage
	jsonRecord
}

// documents takes JSON documents one after another: pages, lists of records, or records.
func (f *blobFile) documents() error {
	limit := &documentReader{r: f.in, left: maxDocument}
	d := json.NewDecoder(limit)
	for n := 1; ; n++ {
		limit.left = maxDocument
		var doc json.RawMessage
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return f.end()
		}
		if err != nil {
			return fmt.Errorf("cannot read JSON from %s, document %d: %w", f.name, n, err)
		}
		if err := f.document(doc, fmt.Sprintf("%s:%d", f.name, n)); err != nil {
			return err
		}
		if f.in.Buffered() == 0 {
			if err := f.v.flush(); err != nil {
				return err
			}
		}
	}
}

func (f *blobFile) document(doc json.RawMessage, where string) error {
	var list []json.RawMessage
	if bytes.HasPrefix(doc, []byte("[")) {
		if err := json.Unmarshal(doc, &list); err != nil {
			return fmt.Errorf("cannot read JSON from %s: %w", where, err)
		}
		return f.list(list, where)
	}
	var d jsonDocument
	if err := json.Unmarshal(doc, &d); err != nil {
		f.skip("%s is not a Kinesis record: a field has another type", where)
		return nil
	}
	if d.Records != nil {
		return f.list(d.Records, where)
	}
	return f.record(&d.jsonRecord, where)
}

func (f *blobFile) list(list []json.RawMessage, where string) error {
	for i, m := range list {
		where := fmt.Sprintf("%s[%d]", where, i)
		var r jsonRecord
		if err := json.Unmarshal(m, &r); err != nil {
			f.skip("%s is not a Kinesis record: a field has another type, or Data is not base64", where)
			continue
		}
		if err := f.record(&r, where); err != nil {
			return err
		}
	}
	return nil
}

func (f *blobFile) record(r *jsonRecord, where string) error {
	id := r.EventID
	if r.Kinesis != nil {
		r = r.Kinesis
	}
	if r.Data == nil {
		f.skip("%s has neither Records nor Data", where)
		return nil
	}
	rec := record{
		source: where, sequence: r.SequenceNumber, arrival: jsonTime(r.ApproximateArrivalTimestamp),
		key: r.PartitionKey, ehk: r.ExplicitHashKey, data: *r.Data,
	}
	if shard, _, ok := strings.Cut(id, ":"); ok {
		rec.shard = reader.Shard{ID: shard}
	}
	return f.v.add(rec)
}

// jsonTime reads a time as the AWS CLI prints it (a text, or seconds); zero if it
// is neither.
func jsonTime(raw json.RawMessage) time.Time {
	var t time.Time
	if json.Unmarshal(raw, &t) == nil {
		return t
	}
	var seconds float64
	if json.Unmarshal(raw, &seconds) == nil && seconds > 0 && seconds < 1e11 {
		return time.UnixMilli(int64(seconds * 1000))
	}
	return time.Time{}
}

// documentReader bounds what the decoder holds at once.
type documentReader struct {
	r    io.Reader
	left int
}

// Read implements io.Reader.
func (d *documentReader) Read(p []byte) (int, error) {
	if d.left <= 0 {
		return 0, fmt.Errorf("it is larger than %d MiB", maxDocument>>20)
	}
	n, err := d.r.Read(p)
	d.left -= n
	return n, err
}
