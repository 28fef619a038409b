// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"math/bits"
	"runtime/debug"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core/internal/answers"
)

// request is one PutRecords call.
type request struct {
	records []*kinesisRecord
	bytes   int

	// Memory that is used again by later requests.
	blob     []byte  // the aggregates, one after the other
	decimal  []byte  // the explicit hash keys, likewise
	digits   []uint8 // how long each of them is; 0: it is that of the record before
	keys     []string
	entries  []types.PutRecordsRequestEntry
	unsealed [][]byte            // scratch
	builder  aggregation.Builder // one after the other, of aggregates that have none
	answer   *answers.Memory     // without WithPlaces, or nil
	nodes    []attemptNode       // likewise, of the records that are stored

	gen        uint64 // of the last map fetch that began before
	omitKeys   bool   // unkeyed records are sent without a partition key
	omittedKey bool   // at least one has
	number     uint64 // of all calls, from 1
	proof      proof  // how often the records were refused
}

var requestPool = sync.Pool{New: func() any { return new(request) }}

func (pl *pipeline) newRequest() *request {
	return requestPool.Get().(*request)
}

// maxKeptBlob is how large a blob may be to be used again. One that a few giant records
// made large is left to the garbage collector.
const maxKeptBlob = 2 << 20

// releaseRequest gives the request's memory back.
func (r *request) releaseRequest() {
	if cap(r.blob) > maxKeptBlob {
		r.blob = nil
	}
	clear(r.records)
	clear(r.entries)
	clear(r.keys)
	clear(r.unsealed)
	r.records, r.entries, r.keys, r.unsealed = r.records[:0], r.entries[:0], r.keys[:0], r.unsealed[:0]
	r.blob, r.decimal, r.digits = r.blob[:0], r.decimal[:0], r.digits[:0]
	if r.answer != nil && !r.answer.Reuse() {
		r.answer = nil
	}
	clear(r.nodes)
	r.nodes = r.nodes[:0]
	r.bytes, r.gen, r.omitKeys, r.omittedKey = 0, 0, false, false
	r.number, r.proof = 0, proof{}
	requestPool.Put(r)
}

// startRequest sends the request in a goroutine of its own, which ends with the call.
// Called with the lock held.
func (pl *pipeline) startRequest(req *request) {
	pl.collector.inFlight++
	pl.stats.Requests++
	pl.checks.noteStarted(pl, req)
	if pl.cfg.verify {
		pl.noteSent(req)
	}
	req.omitKeys, req.gen, req.number = pl.mayOmitKeys(), pl.listing.count, pl.stats.Requests
	pl.p.work.Add(1)
	go pl.send(req)
}

func (pl *pipeline) send(req *request) {
	defer pl.p.work.Done()
	reserveStack()
	start := time.Now()
	entries, defect := req.encodeGuarded()
	var out *kinesis.PutRecordsOutput
	var err error
	var token uint64
	if defect == nil {
		token = pl.traceSending(req)
		out, err = pl.putRecords(req, entries)
	}
	known := pl.endCall(req, out, err, defect, start, time.Now())
	pl.traceAnswered(token, known) // of what is confirmed it has been told
}

// reserveStack gives a new goroutine the stack that the SDK needs for a call. Otherwise it
// would grow step by step, and be copied each time.
//
//go:noinline
func reserveStack() {
	var frame [24 << 10]byte
	touchFrame(&frame)
}

//go:noinline
func touchFrame(frame *[24 << 10]byte) { frame[0] = 1 }

// endCall works what became of a call into its records. It returns whether it is known of
// each of them whether it is stored.
func (pl *pipeline) endCall(req *request, out *kinesis.PutRecordsOutput, err error, defect any, start, end time.Time) (known bool) {
	pl.lock()
	defer pl.unlock()
	before := pl.uncertainties()
	pl.collector.inFlight--
	pl.checks.noteEnded(req)
	switch {
	case pl.broken == nil && defect != nil:
		pl.breakDown("encode", defect, debug.Stack())
	case pl.broken == nil:
		pl.guarded("respond", func() { pl.respond(req, out, err, start, end) })
	case pl.collector.inFlight == 0:
		pl.settleBroken()
	}
	return pl.broken == nil && pl.ctx.Err() == nil && pl.uncertainties() == before
}

// putRecords makes the PutRecords call. A panic of the client becomes an error, since
// it must not take the host down; it says nothing about what was stored.
func (pl *pipeline) putRecords(req *request, entries []types.PutRecordsRequestEntry) (out *kinesis.PutRecordsOutput, err error) {
	defer recoverTo(&err, "PutRecords")
	ctx, cancel := context.WithTimeout(pl.ctx, pl.cfg.requestTimeout)
	defer cancel()
	if !pl.cfg.places {
		if req.answer == nil {
			req.answer = new(answers.Memory)
		}
		ctx = req.answer.Lend(ctx)
	}
	return pl.p.client.PutRecords(ctx, &kinesis.PutRecordsInput{
		Records:    entries,
		StreamName: &pl.stream.name,
		StreamARN:  pl.stream.arn,
	})
}

// encodeGuarded is encode; a panic in it is a defect of ours, unlike one in the client,
// and to try again would not end.
func (r *request) encodeGuarded() (entries []types.PutRecordsRequestEntry, defect any) {
	defer func() { defect = recover() }()
	return r.encode(), nil
}

// encode lays the records out as the API wants them. It runs outside of the
// lock: while a record is in a request, nothing else touches it.
func (r *request) encode() []types.PutRecordsRequestEntry {
	if cap(r.blob) < r.bytes {
		n := r.bytes
		if n <= maxKeptBlob {
			n = 1 << bits.Len(uint(n-1)) // so that requests of nearly one size can use it again
		}
		r.blob = make([]byte, 0, n)
	}
	const decimals = 39 // digits of 2^128-1
	if need := len(r.records) * decimals; cap(r.decimal) < need {
		r.decimal = make([]byte, 0, need)
	}
	var last *kinesisRecord // that has one
	for _, kr := range r.records {
		before := len(r.decimal)
		if kr.explicitlyPlaced() {
			if last == nil || kr.outer != last.outer { // a key's records come in runs
				r.decimal = kr.outer.AppendDecimal(r.decimal)
			}
			last = kr
		}
		r.digits = append(r.digits, uint8(len(r.decimal)-before))
	}
	// One string has all decimals; keys and entries point into it.
	all, decimal := string(r.decimal), ""
	for _, n := range r.digits {
		if n > 0 {
			decimal, all = all[:n], all[n:]
		}
		r.keys = append(r.keys, decimal, "")
	}
	r.makeVerifyKeys()
	fetched := 0
	for i, kr := range r.records {
		if i == fetched {
			fetched += fetchRecords(r.records[i:])
		}
		var data []byte
		data, r.blob, r.keys[2*i+1] = kr.appendData(r.blob, &r.builder)
		if kr.wrapped {
			r.unsealed = append(r.unsealed, data)
		}
		explicit, key := &r.keys[2*i], &r.keys[2*i+1]
		if !kr.explicitlyPlaced() {
			explicit = nil
		}
		if r.omitKeys && !kr.wrapped && kr.items[0].has(itemUnkeyed) {
			key, r.omittedKey = nil, true
		}
		r.entries = append(r.entries, types.PutRecordsRequestEntry{Data: data, ExplicitHashKey: explicit, PartitionKey: key})
	}
	aggregation.Seal(r.unsealed...)
	return r.entries
}
