// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// putState is a put between its checks and its commit. Faults are matched in
// between, so that the shards are known by then.
type putState struct {
	failure  *failure // of the checks; reported after the faults had their turn
	stream   *stream
	entries  []types.PutRecordsRequestEntry
	dryRun   bool
	keys     []hashKey
	route    []*shard // by entry
	layout   int64    // that route was made for
	auto     bool
	seen     []uint64 // bit set over the slots of the open shards
	distinct []*shard // that the entries go to; in flight until release
	one      [1]types.PutRecordsRequestEntry
}

func (s *Server) release(p *putState) {
	for _, sh := range p.distinct {
		sh.flight.leave()
	}
	clear(p.route)
	clear(p.distinct)
	*p = putState{keys: p.keys[:0], route: p.route[:0], seen: p.seen, distinct: p.distinct[:0]}
	s.putStates.Put(p)
}

// preparePut checks a put and finds its shards.
func (s *Server) preparePut(r *request) *putState {
	p := pooled[putState](&s.putStates)
	s.prepare(p, r)
	return p
}

func (s *Server) prepare(p *putState, r *request) {
	p.keys, p.distinct = p.keys[:0], p.distinct[:0]
	var name, arn *string
	switch in := r.in.(type) {
	case *kinesis.PutRecordsInput:
		name, arn, p.entries, p.dryRun = in.StreamName, in.StreamARN, in.Records, aws.ToBool(in.DryRun)
	case *kinesis.PutRecordInput:
		p.one[0] = types.PutRecordsRequestEntry{Data: in.Data, ExplicitHashKey: in.ExplicitHashKey, PartitionKey: in.PartitionKey}
		name, arn, p.entries, p.dryRun = in.StreamName, in.StreamARN, p.one[:], aws.ToBool(in.DryRun)
	}
	p.failure = s.checkPut(p, name, arn)
	if p.failure == nil {
		p.stream.mu.RLock()
		p.routeAll()
		p.stream.mu.RUnlock()
		for _, sh := range p.distinct {
			sh.flight.enter()
		}
	}
}

// checkPut does what the service does before it looks at a single record: the
// constraints of the model, then the stream, then the sizes.
func (s *Server) checkPut(p *putState, name, arn *string) *failure {
	if n := len(p.entries); n < 1 || n > maxRecordsPerPut {
		return validation("Value of length %d at 'records' failed to satisfy constraint: Member must have length between 1 and %d", n, maxRecordsPerPut)
	}
	unkeyed := 0 // the first entry without a key, from 1
	for i := range p.entries {
		e := &p.entries[i]
		if e.PartitionKey == nil && unkeyed == 0 {
			unkeyed = i + 1
		}
		if e.Data == nil { // the SDK refuses it, too
			return validation("Value null at 'records.%d.member.data' failed to satisfy constraint: Member must not be null", i+1)
		}
		if e.PartitionKey == nil {
			// Allowed on AUTO streams; see below.
		} else if n := len(*e.PartitionKey); n < 1 || n > maxPartitionKeyLength && utf8.RuneCountInString(*e.PartitionKey) > maxPartitionKeyLength {
			return validation("Value at 'records.%d.member.partitionKey' failed to satisfy constraint: Member must have length between 1 and %d", i+1, maxPartitionKeyLength)
		}
		if e.ExplicitHashKey != nil && !matchesHashKeyPattern(*e.ExplicitHashKey) {
			return validation("Value at 'records.%d.member.explicitHashKey' failed to satisfy constraint: Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38})", i+1)
		}
	}
	st, f := s.lookup(name, arn)
	if f != nil {
		return f
	}
	st.mu.RLock()
	creating, maxRecord, auto := st.creating, st.maxRecord, st.distribution == types.RecordDistributionStrategyAuto
	st.mu.RUnlock()
	if creating {
		return s.notFound(st.name)
	}
	if unkeyed > 0 && !auto {
		return validation("Value null at 'records.%d.member.partitionKey' failed to satisfy constraint: Member must not be null", unkeyed)
	}
	p.stream = st
	total := 0
	for i := range p.entries {
		e := &p.entries[i]
		n := len(e.Data) + len(aws.ToString(e.PartitionKey))
		if n > maxRecord {
			return validation("Value at 'records.%d.member.data' failed to satisfy constraint: data and partition key must have at most %d bytes; got %d", i+1, maxRecord, n)
		}
		total += n
		var k hashKey
		if e.ExplicitHashKey == nil {
			k = md5Key(aws.ToString(e.PartitionKey))
		} else {
			var ok bool
			if k, ok = parseHashKey(*e.ExplicitHashKey); !ok {
				return invalid("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was %s", *e.ExplicitHashKey)
			}
		}
		p.keys = append(p.keys, k)
	}
	if total > s.cfg.maxRequest {
		return invalid("Records size exceeds %d MB limit", s.cfg.maxRequest>>20)
	}
	if p.dryRun {
		return fail("DryRunOperationException", "The request would have succeeded, but DryRun was set.")
	}
	return nil
}

// routeAll finds the shard of each entry. Called with the stream's lock held.
func (p *putState) routeAll() {
	st := p.stream
	p.layout = st.layout
	p.auto = st.distribution == types.RecordDistributionStrategyAuto
	p.route, p.distinct = p.route[:0], p.distinct[:0]
	if n := (len(st.open) + 63) / 64; cap(p.seen) < n {
		p.seen = make([]uint64, n)
	} else {
		p.seen = p.seen[:n]
		clear(p.seen)
	}
	for _, k := range p.keys {
		var sh *shard
		if p.auto {
			sh = st.open[(st.rotation.Add(1)-1)%uint64(len(st.open))]
		} else {
			sh = st.find(k)
		}
		p.route = append(p.route, sh)
		if w, b := sh.slot>>6, uint64(1)<<(sh.slot&63); p.seen[w]&b == 0 {
			p.seen[w] |= b
			p.distinct = append(p.distinct, sh)
		}
	}
}

// put stores the entries of a call and fills in their results.
func (s *Server) put(r *request, res []types.PutRecordsResultEntry) (failed int32, enc types.EncryptionType, f *failure) {
	p := r.put
	for p.failure == nil {
		var deleted bool
		if failed, enc, deleted = s.commit(r, res); !deleted {
			return failed, enc, nil
		}
		// That was while a fault delayed the call. It finds another stream, or none.
		for _, sh := range p.distinct {
			sh.flight.leave()
		}
		s.prepare(p, r)
	}
	return 0, "", p.failure
}

// commit does what put does, unless the stream was deleted since its shards were found.
func (s *Server) commit(r *request, res []types.PutRecordsResultEntry) (failed int32, enc types.EncryptionType, deleted bool) {
	p := r.put
	st := p.stream
	st.mu.RLock()
	defer st.mu.RUnlock()
	if !st.deletedAt.IsZero() {
		return 0, "", true
	}
	if st.layout != p.layout || (st.distribution == types.RecordDistributionStrategyAuto) != p.auto {
		// The stream was resharded while a fault delayed the call.
		for _, sh := range p.distinct {
			sh.flight.leave()
		}
		p.routeAll()
		for _, sh := range p.distinct {
			sh.flight.enter()
		}
	}
	now := s.cfg.now()
	limited := s.cfg.limits != Limits{}
	keep := newKeeper(s, r)
	seqs := make([]string, len(p.entries))
	digits := make([]byte, 0, seqDigits*len(p.entries))
	var locked *shard
	for i := range p.entries {
		sh := p.route[i]
		e := &p.entries[i]
		if r.effect != nil {
			if code, message, ok := r.effect.entry(s, st, sh, i); ok {
				res[i].ErrorCode, res[i].ErrorMessage = &code, &message
				failed++
				continue
			}
		}
		if sh != locked {
			if locked != nil {
				locked.mu.Unlock()
			}
			sh.mu.Lock()
			locked = sh
		}
		n := len(e.Data) + len(aws.ToString(e.PartitionKey))
		if limited && !sh.bucket.take(s.cfg.limits, now, n) {
			sh.stats.Throttled++
			res[i].ErrorCode, res[i].ErrorMessage = aws.String(codeThroughput), aws.String(s.rateMessage(st, sh))
			failed++
			continue
		}
		at := len(digits)
		digits = sh.appendSeq(digits)
		// The bytes behind a sequence number never change: digits has its full capacity.
		seqs[i] = aliasString(digits[at:])
		sh.stats.Records++
		sh.stats.Bytes += int64(n)
		sh.stats.PayloadUnits += payloadUnits(n)
		if keep != nil {
			sh.records = append(sh.records, keep.record(sh.id, seqs[i], e, now))
			s.journal.addRecord(st.name, sh, &sh.records[len(sh.records)-1])
		}
		res[i].SequenceNumber, res[i].ShardId = &seqs[i], &sh.id
	}
	if locked != nil {
		locked.mu.Unlock()
	}
	return failed, st.encryption, false
}

func (s *Server) rateMessage(st *stream, sh *shard) string {
	return "Rate exceeded for shard " + sh.id + " in stream " + st.name + " under account " + account + "."
}

func (s *Server) putRecords(r *request) (*kinesis.PutRecordsOutput, *failure) {
	out := &kinesis.PutRecordsOutput{Records: make([]types.PutRecordsResultEntry, len(r.put.entries))}
	failed, enc, f := s.put(r, out.Records)
	if f != nil {
		return nil, f
	}
	out.FailedRecordCount, out.EncryptionType = &failed, enc
	return out, nil
}

func (s *Server) putRecord(r *request) (*kinesis.PutRecordOutput, *failure) {
	var res [1]types.PutRecordsResultEntry
	failed, enc, f := s.put(r, res[:])
	if f != nil {
		return nil, f
	}
	if failed > 0 {
		return nil, fail(*res[0].ErrorCode, "%s", *res[0].ErrorMessage)
	}
	return &kinesis.PutRecordOutput{SequenceNumber: res[0].SequenceNumber, ShardId: res[0].ShardId, EncryptionType: enc}, nil
}

// keeper copies what a call brought in process into memory of the server's own:
// the caller may use its buffers again. One copy for each kind, not for each record.
type keeper struct {
	id    string
	owned bool
	data  []byte // grown within its capacity only
	text  []byte // grown within its capacity only
}

func newKeeper(s *Server, r *request) *keeper {
	if s.cfg.countOnly {
		return nil
	}
	k := &keeper{id: r.id, owned: r.owned}
	if k.owned {
		return k
	}
	var data, text int
	for i := range r.put.entries {
		e := &r.put.entries[i]
		data += len(e.Data)
		text += len(aws.ToString(e.PartitionKey)) + len(aws.ToString(e.ExplicitHashKey))
	}
	k.data, k.text = make([]byte, 0, data), make([]byte, 0, text)
	return k
}

func (k *keeper) record(shardID, seq string, e *types.PutRecordsRequestEntry, now time.Time) Record {
	rec := Record{
		ShardID: shardID, SequenceNumber: seq, ArrivalTime: now, RequestID: k.id,
		PartitionKey: aws.ToString(e.PartitionKey), ExplicitHashKey: aws.ToString(e.ExplicitHashKey), Data: e.Data,
	}
	if k.owned {
		return rec
	}
	at := len(k.data)
	k.data = append(k.data, e.Data...)
	rec.Data = k.data[at:len(k.data):len(k.data)]
	rec.PartitionKey, rec.ExplicitHashKey = k.copy(rec.PartitionKey), k.copy(rec.ExplicitHashKey)
	return rec
}

func (k *keeper) copy(t string) string {
	at := len(k.text)
	k.text = append(k.text, t...)
	return aliasString(k.text[at:])
}

// aliasString is b as a string. The caller promises that the bytes never change.
func aliasString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
