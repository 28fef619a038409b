// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
)

// Server is an in-process Kinesis. Make one with [New]; use it through
// [Server.Client] (no goroutines, no HTTP) or, after [Server.Start], over HTTP.
// All methods are safe for concurrent use.
type Server struct {
	cfg        config
	generation atomic.Int64 // of streams
	requests   atomic.Int64 // for request ids
	calls      [numOps]atomic.Int64
	flight     gauge // puts
	faults     faultList
	putStates  sync.Pool // of *putState
	journal    *journal  // nil: none

	mu      sync.RWMutex // guards streams, deleted and past
	streams map[string]*stream
	deleted map[string]int64     // streams of the past: the last second of their sequence numbers
	past    map[string][]*stream // streams that ListShards may still show

	web webServer

	accepted atomic.Pointer[acceptedKey] // nil: each
}

type config struct {
	now           func() time.Time
	region        string
	limits        Limits
	readLimits    ReadLimits
	countOnly     bool
	maxRequest    int
	createTime    time.Duration
	reshardTime   time.Duration
	manualReshard bool
	listShardsLag time.Duration
	tls           bool
	jsonOnly      *failure
	streams       []namedStream
	journal       io.Writer
}

type namedStream struct {
	name string
	cfg  StreamConfig
}

// Option changes a server that [New] makes.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

// WithStream creates a stream with evenly ranged shards. May be given often.
func WithStream(name string, shards int) Option {
	return WithStreamConfig(name, StreamConfig{Shards: shards})
}

// WithStreamConfig creates a stream. May be given often.
func WithStreamConfig(name string, sc StreamConfig) Option {
	return option(func(c *config) { c.streams = append(c.streams, namedStream{name, sc}) })
}

// WithClock sets the clock of arrival times, limits, expiries and the times of
// creating and resharding. Default time.Now. It must not go backwards.
func WithClock(now func() time.Time) Option { return option(func(c *config) { c.now = now }) }

// WithLimits sets the write limits of every shard, for instance [AWSLimits].
// Default: none.
func WithLimits(l Limits) Option { return option(func(c *config) { c.limits = l }) }

// WithReadLimits sets the limits of every shard for GetRecords, for instance
// [AWSReadLimits]. Default: none.
func WithReadLimits(l ReadLimits) Option {
	return option(func(c *config) { c.readLimits = l })
}

// WithCountOnly makes the server count records instead of storing them, for
// benchmarks: puts cost little and memory stays flat, and there is nothing to
// read. Default: records are stored.
func WithCountOnly() Option { return option(func(c *config) { c.countOnly = true }) }

// WithRegion sets the region in ARNs. Default us-east-1.
func WithRegion(region string) Option { return option(func(c *config) { c.region = region }) }

// WithMaxRequestBytes sets the limit of a PutRecords call: data and partition
// keys of all its entries. Default 10 MiB, as the service says today; it was 5 MiB
// before records larger than 1 MiB came.
func WithMaxRequestBytes(n int) Option { return option(func(c *config) { c.maxRequest = n }) }

// WithCreateTime sets how long a stream made by the CreateStream operation stays
// CREATING by the server's clock. Until then puts find no stream. Default 0.
func WithCreateTime(d time.Duration) Option { return option(func(c *config) { c.createTime = d }) }

// WithReshardTime sets how long a stream stays UPDATING by the server's clock
// after a split, a merge or an update of the shard count. The parents take
// writes until then. Default 0: children are open when the call returns.
func WithReshardTime(d time.Duration) Option { return option(func(c *config) { c.reshardTime = d }) }

// WithManualReshard keeps a stream UPDATING until [Server.FinishReshard].
func WithManualReshard() Option { return option(func(c *config) { c.manualReshard = true }) }

// WithListShardsLag makes ListShards, with any filter and on each page, show the shards
// as they were d ago by the server's clock. For a stream that was deleted and created
// again since then these are the shards of the deleted one; a stream that did not
// exist at that time shows its first shards. All other operations show the present.
// Default 0.
func WithListShardsLag(d time.Duration) Option {
	return option(func(c *config) { c.listShardsLag = d })
}

// WithTLS makes [Server.Start] serve HTTPS with a certificate of its own; see
// [Server.CertPool]. Default: plain HTTP.
func WithTLS() Option { return option(func(c *config) { c.tls = true }) }

// WithJSONOnly makes the HTTP side refuse requests in CBOR, in JSON and with the code, such
// as "UnknownOperationException" or "SerializationException", or, with "", with HTTP status
// 415 and no body. Default: it knows CBOR.
func WithJSONOnly(code string) Option {
	f := &failure{status: http.StatusUnsupportedMediaType, emptyBody: true}
	if code != "" {
		f = fail(code, "the format of the request is not known")
	}
	return option(func(c *config) { c.jsonOnly = f })
}

// account is the one in ARNs and messages.
const account = "123456789012"

// New makes a server. It starts no goroutine. It panics if a stream of the
// options is not valid, because that is a mistake in the test's source.
func New(opts ...Option) *Server {
	s := &Server{
		cfg:     config{now: time.Now, region: "us-east-1", maxRequest: defaultMaxRequestBytes},
		streams: map[string]*stream{},
		deleted: map[string]int64{},
		past:    map[string][]*stream{},
	}
	for _, o := range opts {
		o.apply(&s.cfg)
	}
	if s.cfg.journal != nil {
		s.journal = &journal{w: s.cfg.journal}
	}
	for _, ns := range s.cfg.streams {
		if f := s.createStream(ns.name, ns.cfg, 0); f != nil {
			panic("kinesistest: cannot create stream " + ns.name + ": " + f.message)
		}
	}
	return s
}

// op is an operation of the API.
type op uint8

const (
	opPutRecords op = iota
	opPutRecord
	opListShards
	opDescribeStreamSummary
	opDescribeStream
	opListStreams
	opCreateStream
	opDeleteStream
	opSplitShard
	opMergeShards
	opUpdateShardCount
	opUpdateMaxRecordSize
	opUpdateDistribution
	opGetShardIterator
	opGetRecords
	numOps
)

var opNames = [numOps]string{
	"PutRecords", "PutRecord", "ListShards", "DescribeStreamSummary", "DescribeStream", "ListStreams",
	"CreateStream", "DeleteStream", "SplitShard", "MergeShards", "UpdateShardCount", "UpdateMaxRecordSize",
	"UpdateStreamRecordDistributionStrategy", "GetShardIterator", "GetRecords",
}

// request is one call on its way through the server.
type request struct {
	op     op
	in     any
	id     string
	header http.Header // nil in process
	cbor   bool        // over HTTP: in CBOR, and so the answer
	owned  bool        // the input's memory is the server's: no copy needed
	slab   []byte      // holds the payload of PutRecords over HTTP
	put    *putState   // of PutRecords and PutRecord
	effect *firedEffect
}

// do runs one call from counting to its answer. It is the same for both clients.
func (s *Server) do(ctx context.Context, r *request) (out smithy.Serializable, f *failure) {
	n := s.calls[r.op].Add(1)
	if ctx.Err() != nil {
		return nil, canceled(ctx)
	}
	if r.op == opPutRecords || r.op == opPutRecord {
		s.flight.enter()
		defer s.flight.leave()
		r.put = s.preparePut(r)
		defer s.release(r.put)
	}
	if s.faults.any() {
		if r.effect = s.faults.match(r, n); r.effect != nil {
			if f := r.effect.before(ctx); f != nil {
				return nil, f
			}
		}
	}
	out, f = s.run(r)
	if err := s.journal.flush(); err != nil && f == nil {
		out, f = nil, fail("InternalFailure", "The journal cannot be written: %s", err)
	}
	if r.effect != nil {
		return r.effect.after(ctx, out, f)
	}
	return out, f
}

func (s *Server) run(r *request) (smithy.Serializable, *failure) {
	switch in := r.in.(type) {
	case *kinesis.PutRecordsInput:
		return nilOnFailure(s.putRecords(r))
	case *kinesis.PutRecordInput:
		return nilOnFailure(s.putRecord(r))
	case *kinesis.ListShardsInput:
		return nilOnFailure(s.listShards(in))
	case *kinesis.DescribeStreamSummaryInput:
		return nilOnFailure(s.describeStreamSummary(in))
	case *kinesis.DescribeStreamInput:
		return nilOnFailure(s.describeStream(in))
	case *kinesis.ListStreamsInput:
		return nilOnFailure(s.listStreams(in))
	case *kinesis.CreateStreamInput:
		return &kinesis.CreateStreamOutput{}, s.createStreamOp(in)
	case *kinesis.DeleteStreamInput:
		return &kinesis.DeleteStreamOutput{}, s.deleteStreamOp(in)
	case *kinesis.SplitShardInput:
		return &kinesis.SplitShardOutput{}, s.splitOp(in)
	case *kinesis.MergeShardsInput:
		return &kinesis.MergeShardsOutput{}, s.mergeOp(in)
	case *kinesis.UpdateShardCountInput:
		return nilOnFailure(s.updateShardCountOp(in))
	case *kinesis.UpdateMaxRecordSizeInput:
		return &kinesis.UpdateMaxRecordSizeOutput{}, s.updateMaxRecordSizeOp(in)
	case *kinesis.UpdateStreamRecordDistributionStrategyInput:
		return &kinesis.UpdateStreamRecordDistributionStrategyOutput{}, s.updateDistributionOp(in)
	case *kinesis.GetShardIteratorInput:
		return nilOnFailure(s.getShardIterator(in))
	case *kinesis.GetRecordsInput:
		return nilOnFailure(s.getRecords(in))
	}
	return nil, fail("UnknownOperationException", "operation %s is not implemented", opNames[r.op])
}

// nilOnFailure keeps a typed nil out of the interface.
func nilOnFailure[T smithy.Serializable](out T, f *failure) (smithy.Serializable, *failure) {
	if f != nil {
		return nil, f
	}
	return out, nil
}

// goError is the error of the Go methods of Server: the same types as a client
// sees.
func (s *Server) goError(what string, f *failure) error {
	if f == nil {
		return nil
	}
	return fmt.Errorf("kinesistest: cannot %s: %w", what, apiError(f.code, f.message))
}

func (s *Server) requestID() string {
	const zero = "00000000-0000-4000-8000-"
	var buf [len(zero) + 12]byte
	return string(appendPadded(append(buf[:0], zero...), uint64(s.requests.Add(1)), 12))
}
