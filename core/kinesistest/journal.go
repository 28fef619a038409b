// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// WithJournal makes the server write each change to w, in lines of JSON, before the call
// that made it is answered: streams, their shards and settings, and records. What w
// got is what [Server.Restore] makes of another server, so that a server can outlive
// its process. After a write that fails, the calls that change something fail with
// InternalFailure: nothing is confirmed that is not in w. Default: nothing is written.
//
// Streams of [WithStream] are written as soon as they are made, so give a restored server
// none of those that it may have already.
func WithJournal(w io.Writer) Option { return option(func(c *config) { c.journal = w }) }

// change is a line of the journal. One of the first five fields says of what.
type change struct {
	Create  string `json:"create,omitempty"`
	Delete  string `json:"delete,omitempty"`
	Reshard string `json:"reshard,omitempty"`
	Set     string `json:"set,omitempty"`
	Put     string `json:"put,omitempty"`

	At time.Time `json:"at,omitzero"`

	// Of a stream.
	Starts       []string                         `json:"starts,omitempty"`
	OnDemand     bool                             `json:"on_demand,omitempty"`
	MaxRecord    int                              `json:"max_record,omitempty"` // bytes
	Distribution types.RecordDistributionStrategy `json:"distribution,omitempty"`
	Encryption   types.EncryptionType             `json:"encryption,omitempty"`

	// Of a reshard.
	Parents []string    `json:"parents,omitempty"`
	Ranges  [][2]string `json:"ranges,omitempty"`

	// Of a record. Number is what its sequence number counts.
	Shard     string  `json:"shard,omitempty"`
	Number    uint64  `json:"number,omitempty"`
	Request   string  `json:"request,omitempty"`
	Key       *string `json:"key,omitempty"`
	KeyBytes  []byte  `json:"key_base64,omitempty"` // if the key is not UTF-8
	HashKey   string  `json:"hash_key,omitempty"`
	DataBytes []byte  `json:"data_base64,omitempty"`
}

// journal collects the lines of a call, which are written together.
type journal struct {
	w io.Writer

	mu      sync.Mutex // guards the fields below
	pending bytes.Buffer
	err     error // of the first write that failed, for good: the end of w may be torn
	silent  bool  // while the server is restored
}

// add appends a line. The caller holds the lock under which the change was made, so
// that the lines of a stream, and of a shard, are in the order of the changes.
func (j *journal) add(c *change) {
	if j == nil {
		return
	}
	line, err := json.Marshal(c)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.silent {
		return
	}
	if err != nil { // a time that JSON does not have
		j.err = errors.Join(j.err, err)
		return
	}
	j.pending.Write(line)
	j.pending.WriteByte('\n')
}

// flush writes what was added.
func (j *journal) flush() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil && j.pending.Len() > 0 {
		_, j.err = j.w.Write(j.pending.Bytes())
	}
	j.pending.Reset()
	return j.err
}

// addRecord is add for a record that a shard has just stored. It is called with the
// shard locked.
func (j *journal) addRecord(stream string, sh *shard, rec *Record) {
	if j == nil {
		return
	}
	c := change{Put: stream, At: rec.ArrivalTime, Shard: sh.id, Number: sh.counter, Request: rec.RequestID, HashKey: rec.ExplicitHashKey, DataBytes: rec.Data}
	if utf8.ValidString(rec.PartitionKey) {
		c.Key = &rec.PartitionKey
	} else {
		c.KeyBytes = []byte(rec.PartitionKey)
	}
	j.add(&c)
}

func (j *journal) addSettings(st *stream) {
	j.add(&change{Set: st.name, MaxRecord: st.maxRecord, Distribution: st.distribution, Encryption: st.encryption})
}

func (j *journal) addStream(st *stream) {
	c := change{
		Create: st.name, At: st.created, OnDemand: st.mode == types.StreamModeOnDemand,
		MaxRecord: st.maxRecord, Distribution: st.distribution, Encryption: st.encryption,
	}
	for _, sh := range st.all {
		c.Starts = append(c.Starts, sh.startStr)
	}
	j.add(&c)
}

func (j *journal) addReshard(st *stream, parents []*shard, spans []span, now time.Time) {
	c := change{Reshard: st.name, At: now}
	for _, p := range parents {
		c.Parents = append(c.Parents, p.id)
	}
	for _, sp := range spans {
		c.Ranges = append(c.Ranges, [2]string{sp.start.String(), sp.end.String()})
	}
	j.add(&c)
}

// Restore applies what another server wrote to its journal, and returns how many bytes
// of it are whole lines: a last line without its end was never confirmed, and is to be
// cut off before something is appended. Sequence numbers, arrival times and shards are
// those of before; iterators are not. It is called before the server is used, and
// writes nothing to the journal of this one.
func (s *Server) Restore(r io.Reader) (whole int64, err error) {
	if j := s.journal; j != nil {
		j.mu.Lock()
		j.silent = true
		j.mu.Unlock()
		defer func() {
			j.mu.Lock()
			j.silent = false
			j.mu.Unlock()
		}()
	}
	in := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF):
			return whole, nil // what is in line is not whole
		case err != nil:
			return whole, err
		}
		var c change
		if err := json.Unmarshal(line, &c); err != nil {
			return whole, fmt.Errorf("kinesistest: line %d of the journal: %w", n, err)
		}
		if err := s.apply(&c); err != nil {
			return whole, fmt.Errorf("kinesistest: line %d of the journal: %w", n, err)
		}
		whole += int64(len(line))
	}
}

// apply makes a change of a journal.
func (s *Server) apply(c *change) error {
	switch {
	case c.Create != "":
		cfg := StreamConfig{Starts: c.Starts, OnDemand: c.OnDemand, Distribution: c.Distribution, Encryption: c.Encryption}
		if f := s.createStreamAt(c.Create, cfg, 0, c.At); f != nil {
			return s.goError("create stream "+c.Create, f)
		}
		return s.restored(c.Create, func(st *stream) error {
			st.maxRecord = c.MaxRecord
			return nil
		})
	case c.Delete != "":
		return s.goError("delete stream "+c.Delete, s.deleteStreamAt(c.Delete, c.At))
	case c.Reshard != "":
		return s.restored(c.Reshard, func(st *stream) error { return st.restoreReshard(c) })
	case c.Set != "":
		return s.restored(c.Set, func(st *stream) error {
			st.maxRecord, st.distribution, st.encryption = c.MaxRecord, c.Distribution, c.Encryption
			return nil
		})
	case c.Put != "":
		return s.restored(c.Put, func(st *stream) error { return st.restoreRecord(c, s.cfg.countOnly) })
	}
	return errors.New("it says nothing")
}

// restored changes a stream, locked.
func (s *Server) restored(name string, change func(st *stream) error) error {
	st, f := s.lookup(&name, nil)
	if f != nil {
		return s.goError("restore", f)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return change(st)
}

func (st *stream) restoreReshard(c *change) error {
	var parents []*shard
	for _, id := range c.Parents {
		sh := st.shard(id)
		if sh == nil || sh.slot < 0 {
			return fmt.Errorf("stream %s has no open shard %s", st.name, id)
		}
		parents = append(parents, sh)
	}
	var spans []span
	for _, r := range c.Ranges {
		start, ok := parseHashKey(r[0])
		end, ok2 := parseHashKey(r[1])
		if !ok || !ok2 || end.less(start) {
			return fmt.Errorf("%q is not a range of hash keys", r)
		}
		spans = append(spans, span{start, end})
	}
	st.replace(parents, spans, c.At)
	return nil
}

func (st *stream) restoreRecord(c *change, countOnly bool) error {
	sh := st.shard(c.Shard)
	if sh == nil || c.Number == 0 {
		return fmt.Errorf("stream %s has no shard %s, or the record has no number", st.name, c.Shard)
	}
	key := aws.ToString(c.Key)
	if c.Key == nil {
		key = string(c.KeyBytes)
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if c.Number <= sh.counter {
		return fmt.Errorf("the record has the number %d in shard %s, which is at %d", c.Number, sh.id, sh.counter)
	}
	sh.counter = c.Number - 1
	n := len(c.DataBytes) + len(key)
	sh.stats.Records++
	sh.stats.Bytes += int64(n)
	sh.stats.PayloadUnits += payloadUnits(n)
	rec := Record{
		ShardID: sh.id, SequenceNumber: string(sh.appendSeq(nil)), PartitionKey: key, ExplicitHashKey: c.HashKey,
		Data: append([]byte{}, c.DataBytes...), ArrivalTime: c.At, RequestID: c.Request,
	}
	if !countOnly {
		sh.records = append(sh.records, rec)
	}
	return nil
}
