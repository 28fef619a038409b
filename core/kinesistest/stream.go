// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// recreateSeconds is how much later than the last shard of a deleted stream the first of
// the next one of its name is created, as their sequence numbers tell it, whatever the
// clock says. The service needs some ten seconds at least.
const recreateSeconds = 10

type stream struct {
	name, arn  string
	generation int64
	created    time.Time
	second     int64         // of the creation, as the sequence numbers tell it
	rotation   atomic.Uint64 // next shard in AUTO mode

	mu           sync.RWMutex // guards the fields below, and slot, closedAt, lastSeq, children of the shards
	all          []*shard     // in order of their ids
	open         []*shard     // in order of their ranges
	deletedAt    time.Time    // zero unless deleted; does not change again
	ends         []hashKey    // of the ranges of open
	layout       int64        // changes with open
	creating     bool
	pending      func(now time.Time) // the reshard that is under way: closes parents and opens children
	readyAt      time.Time           // when creating or pending ends; zero: by hand
	maxRecord    int
	encryption   types.EncryptionType
	distribution types.RecordDistributionStrategy
	mode         types.StreamMode
}

// lookup finds the stream of a call. Validation of the two forms comes first,
// as the service's does.
func (s *Server) lookup(name, arn *string) (*stream, *failure) {
	n := ""
	switch {
	case arn != nil:
		_, after, ok := strings.Cut(*arn, ":stream/")
		if !ok || !strings.HasPrefix(*arn, "arn:") {
			return nil, validation("Value '%s' at 'streamARN' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+", *arn)
		}
		if name != nil && *name != after {
			return nil, invalid("StreamName %s and StreamARN %s name different streams", *name, *arn)
		}
		n = after
	case name != nil:
		n = *name
	default:
		return nil, validation("either StreamName or StreamARN must be given")
	}
	s.mu.RLock()
	st := s.streams[n]
	s.mu.RUnlock()
	if st == nil || arn != nil && st.arn != *arn {
		return nil, s.notFound(n)
	}
	st.settle(s)
	return st, nil
}

func (s *Server) notFound(name string) *failure {
	return fail("ResourceNotFoundException", "Stream %s under account %s not found.", name, account)
}

// settle ends what has been under way long enough.
func (st *stream) settle(s *Server) {
	st.mu.RLock()
	due := (st.creating || st.pending != nil) && !st.readyAt.IsZero()
	at := st.readyAt
	st.mu.RUnlock()
	if !due {
		return
	}
	if now := s.cfg.now(); !now.Before(at) {
		st.finish(now)
	}
}

func (st *stream) finish(now time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.creating = false
	if apply := st.pending; apply != nil {
		st.pending = nil
		apply(now)
	}
}

// status is called with mu locked.
func (st *stream) status() types.StreamStatus {
	switch {
	case st.creating:
		return types.StreamStatusCreating
	case st.pending != nil:
		return types.StreamStatusUpdating
	}
	return types.StreamStatusActive
}

// setOpen installs the open shards. Called with mu locked for writing.
func (st *stream) setOpen(open []*shard) {
	sort.Slice(open, func(i, j int) bool { return open[i].start.less(open[j].start) })
	for i, sh := range open {
		sh.slot = i
	}
	st.open = open
	st.ends = make([]hashKey, len(open))
	for i, sh := range open {
		st.ends[i] = sh.end
	}
	st.layout++
}

// find returns the open shard whose range holds k. Called with mu locked.
func (st *stream) find(k hashKey) *shard {
	lo, hi := 0, len(st.open)-1
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if st.ends[mid].less(k) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return st.open[lo]
}

// shard finds a shard, open or closed, by its id. Called with mu locked.
func (st *stream) shard(id string) *shard {
	i := sort.Search(len(st.all), func(i int) bool { return st.all[i].id >= id })
	if i < len(st.all) && st.all[i].id == id {
		return st.all[i]
	}
	return nil
}

// StreamConfig describes a stream to create. The zero value is one shard with
// the defaults of the service.
type StreamConfig struct {
	// Shards is the number of shards, at least 1. Default 1.
	Shards int
	// Starts are the first hash keys of the shards, if the ranges are not to be
	// even: decimal, increasing, the first one "0". Overrides Shards.
	Starts []string
	// MaxRecordKiB is the largest record in KiB, 1024 to 10240. Default 1024.
	MaxRecordKiB int
	// OnDemand sets the stream's mode to ON_DEMAND. Default PROVISIONED.
	OnDemand bool
	// Distribution is the record distribution strategy. Default: absent, which
	// means by partition key. AUTO ignores keys: see [Server.SetDistribution].
	Distribution types.RecordDistributionStrategy
	// Encryption is reported in every reply. Default: absent.
	Encryption types.EncryptionType
}

// CreateStream makes a stream at once, without the time of [WithCreateTime].
func (s *Server) CreateStream(name string, cfg StreamConfig) error {
	return s.goError("CreateStream", s.createStream(name, cfg, 0))
}

func (s *Server) createStream(name string, cfg StreamConfig, takes time.Duration) *failure {
	return s.createStreamAt(name, cfg, takes, s.cfg.now())
}

func (s *Server) createStreamAt(name string, cfg StreamConfig, takes time.Duration, now time.Time) *failure {
	if name == "" || len(name) > 128 {
		return validation("Value '%s' at 'streamName' failed to satisfy constraint: Member must have length between 1 and 128", name)
	}
	starts := evenStarts(max(1, cfg.Shards))
	if len(cfg.Starts) > 0 {
		starts = starts[:0]
		for i, t := range cfg.Starts {
			k, ok := parseHashKey(t)
			if !matchesHashKeyPattern(t) || !ok || i == 0 && k != (hashKey{}) || i > 0 && !starts[i-1].less(k) {
				return validation("Value '%s' at 'starts' failed to satisfy constraint: increasing decimals from 0 to 2^128-1, the first one 0", t)
			}
			starts = append(starts, k)
		}
	}
	kib := cfg.MaxRecordKiB
	if kib == 0 {
		kib = defaultMaxRecordKiB
	}
	if kib < minMaxRecordKiB || kib > maxMaxRecordKiB {
		return validation("Value '%d' at 'maxRecordSizeInKiB' failed to satisfy constraint: Member must be between %d and %d", kib, minMaxRecordKiB, maxMaxRecordKiB)
	}
	st := &stream{
		name: name, arn: s.ARN(name),
		generation: s.generation.Add(1), created: now,
		creating: takes > 0, readyAt: now.Add(takes),
		maxRecord: kib << 10, encryption: cfg.Encryption, distribution: cfg.Distribution, mode: types.StreamModeProvisioned,
	}
	if cfg.OnDemand {
		st.mode = types.StreamModeOnDemand
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[name] != nil {
		return fail("ResourceInUseException", "Stream %s under account %s already exists.", name, account)
	}
	// The service takes time to delete a stream and to create it again.
	st.second = max(now.Unix(), s.deleted[name]+recreateSeconds, 0)
	open := make([]*shard, len(starts))
	for i, start := range starts {
		end := maxHashKey
		if i+1 < len(starts) {
			end = starts[i+1].sub(hashKey{0, 1})
		}
		open[i] = newShard(i, start, end, st.second, now)
	}
	st.all = append([]*shard(nil), open...)
	st.setOpen(open)
	s.streams[name] = st
	s.journal.addStream(st)
	return nil
}

// DeleteStream removes a stream and everything in it at once. A stream of the
// same name may then be created; its shard ids start at 0 again. A put that a fault
// holds up meanwhile goes to the stream of that name that exists afterwards.
func (s *Server) DeleteStream(name string) error {
	return s.goError("DeleteStream", s.deleteStream(name))
}

func (s *Server) deleteStream(name string) *failure { return s.deleteStreamAt(name, s.cfg.now()) }

func (s *Server) deleteStreamAt(name string, now time.Time) *failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[name]
	if st == nil {
		return s.notFound(name)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.deletedAt = now
	delete(s.streams, name)
	s.deleted[name] = max(st.second, st.deletedAt.Unix())
	if s.cfg.listShardsLag > 0 {
		s.past[name] = append(s.past[name], st)
	}
	s.journal.add(&change{Delete: name, At: now})
	return nil
}

// SetDistribution changes the record distribution strategy. With AUTO the
// stream ignores partition keys and explicit hash keys and deals records out to
// the open shards in turn; the strategy shows in DescribeStreamSummary. The
// empty value makes it absent there.
func (s *Server) SetDistribution(name string, d types.RecordDistributionStrategy) error {
	return s.update("SetDistribution", name, func(st *stream) { st.distribution = d })
}

// SetEncryption changes the encryption type in replies. The empty value makes
// it absent.
func (s *Server) SetEncryption(name string, e types.EncryptionType) error {
	return s.update("SetEncryption", name, func(st *stream) { st.encryption = e })
}

// SetMaxRecordKiB changes the largest record (data and partition key), in KiB.
// The service allows 1024 to 10240; tests may set less.
func (s *Server) SetMaxRecordKiB(name string, kib int) error {
	return s.update("SetMaxRecordKiB", name, func(st *stream) { st.maxRecord = kib << 10 })
}

func (s *Server) update(what, name string, change func(*stream)) error {
	st, f := s.lookup(&name, nil)
	if f != nil {
		return s.goError(what, f)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	change(st)
	s.journal.addSettings(st)
	return nil
}

// ARN returns the ARN that a stream of this name has or would have.
func (s *Server) ARN(name string) string {
	return "arn:aws:kinesis:" + s.cfg.region + ":" + account + ":stream/" + name
}
