// SPDX-License-Identifier: Apache-2.0

package awsclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	library "github.com/aws/smithy-go/encoding/cbor"
	"github.com/aws/smithy-go/middleware"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/internal/answers"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/cbor"
)

const inJSON = "application/x-amz-json-1.1"

// api is what the client has beside core.Client.
type api interface {
	core.Client
	WireFormat() awsclient.WireFormat
	CloseIdleConnections()
	PutRecord(ctx context.Context, in *kinesis.PutRecordInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordOutput, error)
	GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
	GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, opts ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	DescribeStream(ctx context.Context, in *kinesis.DescribeStreamInput, opts ...func(*kinesis.Options)) (*kinesis.DescribeStreamOutput, error)
	ListStreams(ctx context.Context, in *kinesis.ListStreamsInput, opts ...func(*kinesis.Options)) (*kinesis.ListStreamsOutput, error)
	CreateStream(ctx context.Context, in *kinesis.CreateStreamInput, opts ...func(*kinesis.Options)) (*kinesis.CreateStreamOutput, error)
	SplitShard(ctx context.Context, in *kinesis.SplitShardInput, opts ...func(*kinesis.Options)) (*kinesis.SplitShardOutput, error)
	MergeShards(ctx context.Context, in *kinesis.MergeShardsInput, opts ...func(*kinesis.Options)) (*kinesis.MergeShardsOutput, error)
	UpdateShardCount(ctx context.Context, in *kinesis.UpdateShardCountInput, opts ...func(*kinesis.Options)) (*kinesis.UpdateShardCountOutput, error)
	UpdateMaxRecordSize(ctx context.Context, in *kinesis.UpdateMaxRecordSizeInput, opts ...func(*kinesis.Options)) (*kinesis.UpdateMaxRecordSizeOutput, error)
	UpdateStreamRecordDistributionStrategy(ctx context.Context, in *kinesis.UpdateStreamRecordDistributionStrategyInput, opts ...func(*kinesis.Options)) (*kinesis.UpdateStreamRecordDistributionStrategyOutput, error)
	DeleteStream(ctx context.Context, in *kinesis.DeleteStreamInput, opts ...func(*kinesis.Options)) (*kinesis.DeleteStreamOutput, error)
}

func newFormat(t testing.TB, url string, f awsclient.WireFormat) api {
	t.Helper()
	c, err := awsclient.New(context.Background(), awsclient.Config{Region: "us-east-1", Endpoint: url, WireFormat: f})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.(api).CloseIdleConnections)
	return c.(api)
}

// endpoint is a server that answers as the fake does, or as a test wants it to.
type endpoint struct {
	*kinesistest.Server
	url string

	mu    sync.Mutex
	calls []string // operation and format of each
	spoil func(w http.ResponseWriter, operation string, inCBOR bool) bool
}

func newEndpoint(t testing.TB, opts ...kinesistest.Option) *endpoint {
	t.Helper()
	e := &endpoint{Server: kinesistest.New(append(opts, kinesistest.WithStream("logs", 2))...)}
	fake := e.Handler()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		format, operation := "json", strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "Kinesis_20131202.")
		if r.Header.Get("Content-Type") == cbor.ContentType {
			format = "cbor"
		}
		e.mu.Lock()
		e.calls = append(e.calls, operation+" "+format)
		spoil := e.spoil
		e.mu.Unlock()
		if spoil != nil && spoil(w, operation, format == "cbor") {
			return
		}
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { s.Close(); _ = e.Close() })
	e.url = s.URL
	return e
}

func (e *endpoint) setSpoil(f func(w http.ResponseWriter, operation string, inCBOR bool) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.spoil = f
}

// take returns the calls since the last time.
func (e *endpoint) take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	calls := e.calls
	e.calls = nil
	return calls
}

// answer is one that a test gives, to calls in CBOR.
func answer(status int, contentType, body string) func(http.ResponseWriter, string, bool) bool {
	return func(w http.ResponseWriter, _ string, inCBOR bool) bool {
		if !inCBOR {
			return false
		}
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	}
}

func codeInCBOR(code string) string {
	return string(cbor.AppendText(cbor.AppendText(cbor.AppendMap(nil, 1), "__type"), code))
}

func listShards(t *testing.T, c core.Client) error {
	t.Helper()
	out, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("logs")})
	if err == nil && len(out.Shards) != 2 {
		t.Errorf("unexpected shards; got %d; want 2", len(out.Shards))
	}
	return err
}

func describe(t *testing.T, c core.Client) error {
	t.Helper()
	out, err := c.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("logs")})
	if err == nil && (aws.ToString(out.StreamDescriptionSummary.StreamName) != "logs" || time.Since(aws.ToTime(out.StreamDescriptionSummary.StreamCreationTimestamp)).Abs() > time.Hour) {
		t.Errorf("unexpected summary: %+v", out.StreamDescriptionSummary)
	}
	return err
}

func putOne(t *testing.T, c core.Client) error {
	t.Helper()
	out, err := c.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String("logs"), Records: []types.PutRecordsRequestEntry{{Data: []byte("x"), PartitionKey: aws.String("k")}}})
	if err == nil && (len(out.Records) != 1 || aws.ToString(out.Records[0].SequenceNumber) == "") {
		t.Errorf("unexpected answer: %+v", out)
	}
	return err
}

// code is that of an error of the service, or what else it is.
func code(err error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &api):
		return api.ErrorCode()
	}
	return "unreadable"
}

// TestAnswersAreTheSameInBothFormats calls all that the fake has and that is not random.
func TestAnswersAreTheSameInBothFormats(t *testing.T) {
	alone(t)
	now := time.UnixMilli(1795961271129).UTC()
	run := func(format awsclient.WireFormat) (all []any) {
		s := kinesistest.New(kinesistest.WithStream("logs", 2), kinesistest.WithClock(func() time.Time { return now }))
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		c := newFormat(t, s.URL(), format)
		note := func(out any, err error) {
			t.Helper()
			if err != nil {
				var known interface{ ErrorMessage() string }
				errors.As(err, &known)
				all = append(all, fmt.Sprintf("%T %s", known, code(err)), known.ErrorMessage())
				return
			}
			v := reflect.ValueOf(out).Elem()
			v.FieldByName("ResultMetadata").Set(reflect.ValueOf(middleware.Metadata{}))
			all = append(all, out)
		}
		name, ctx := aws.String("logs"), t.Context()
		note(c.ListShards(ctx, &kinesis.ListShardsInput{StreamName: name, ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp, Timestamp: &now}}))
		note(c.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: name}))
		note(c.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: name}))
		note(c.ListStreams(ctx, &kinesis.ListStreamsInput{}))
		note(c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: name, Records: []types.PutRecordsRequestEntry{
			{Data: []byte("\x00\xff"), PartitionKey: aws.String("\u00e4\"")}, {Data: []byte("b"), PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("0")},
		}}))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.FailEntries("InternalFailure", "Internal service failure.")})
		note(c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: name, Records: []types.PutRecordsRequestEntry{{Data: []byte("x"), PartitionKey: aws.String("k")}}}))
		note(c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: name, Data: []byte("one"), PartitionKey: aws.String("k")}))
		for _, shard := range []string{"shardId-000000000000", "shardId-000000000001"} {
			it, err := c.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: name, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: &now})
			if err != nil {
				t.Fatal(err)
			}
			note(c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator}))
		}
		note(c.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String("none")}))
		note(c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: name, Records: []types.PutRecordsRequestEntry{}}))
		note(c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("new"), ShardCount: aws.Int32(1)}))
		note(c.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: aws.String("new"), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("1000")}))
		note(c.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: aws.String("new"), ShardToMerge: aws.String("shardId-000000000001"), AdjacentShardToMerge: aws.String("shardId-000000000002")}))
		note(c.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{StreamName: name, TargetShardCount: aws.Int32(4), ScalingType: types.ScalingTypeUniformScaling}))
		note(c.ListShards(ctx, &kinesis.ListShardsInput{StreamName: name}))
		arn := aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/logs")
		note(c.UpdateMaxRecordSize(ctx, &kinesis.UpdateMaxRecordSizeInput{StreamARN: arn, MaxRecordSizeInKiB: aws.Int32(2048)}))
		note(c.UpdateStreamRecordDistributionStrategy(ctx, &kinesis.UpdateStreamRecordDistributionStrategyInput{StreamARN: arn, RecordDistributionStrategy: types.RecordDistributionStrategyAuto}))
		note(c.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: name}))
		note(c.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String("new")}))
		return all
	}
	inJSON, inCBOR := run(awsclient.WireJSON), run(awsclient.WireCBOR)
	for i := range max(len(inJSON), len(inCBOR)) {
		if !reflect.DeepEqual(inJSON[i], inCBOR[i]) {
			t.Errorf("unexpected answer %d; got %+v in CBOR; want %+v", i, inCBOR[i], inJSON[i])
		}
	}
}

func TestRequestInCBORIsWhatTheTypesOfTheSDKSay(t *testing.T) {
	for _, in := range []*kinesis.PutRecordsInput{
		{StreamName: aws.String("logs"), Records: []types.PutRecordsRequestEntry{
			{Data: []byte("\x00\xff"), PartitionKey: aws.String("a\xff\xc3\u00e9"), ExplicitHashKey: aws.String("340282366920938463463374607431768211455")},
			{Data: []byte{}, PartitionKey: aws.String("k")},
			{Data: make([]byte, 70_000)},
		}},
		{StreamARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/logs"), StreamName: aws.String("logs"), Records: []types.PutRecordsRequestEntry{}},
	} {
		var w cbor.Writer
		in.Serialize(&w)
		want, err := library.Decode(w.Bytes())
		got, err2 := library.Decode(awsclient.AppendCBOR(nil, in))
		if err := errors.Join(err, err2); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("unexpected request; got %v; want %v; error %v", got, want, err)
		}
	}
}

// answerOf is an answer to n records, as servers write it that know the lengths at the start.
func answerOf(n int) []byte {
	v, err := library.Decode(openAnswerOf(n))
	if err != nil {
		panic(err)
	}
	return library.Encode(v)
}

// openAnswerOf is one as servers write it that do not.
func openAnswerOf(n int) []byte {
	out := &kinesis.PutRecordsOutput{FailedRecordCount: aws.Int32(0), EncryptionType: types.EncryptionTypeKms}
	for i := range n {
		out.Records = append(out.Records, types.PutRecordsResultEntry{
			ShardId: aws.String(fmt.Sprintf("shardId-%012d", i%7)), SequenceNumber: aws.String(fmt.Sprintf("%056d", i)),
		})
	}
	var w cbor.Writer
	out.Serialize(&w)
	return w.Bytes()
}

func TestAnswerIsReadWithoutAnAllocationForEachRecord(t *testing.T) {
	for name, answer := range map[string]func(int) []byte{"lengths": answerOf, "no lengths": openAnswerOf} {
		allocations := func(n int) float64 {
			body, last := answer(n), fmt.Sprintf("%056d", n-1)
			return testing.AllocsPerRun(20, func() {
				var out kinesis.PutRecordsOutput
				if err := awsclient.ReadPutRecords(body, n, &out); err != nil || len(out.Records) != n || *out.Records[n-1].SequenceNumber != last {
					t.Fatalf("unexpected answer; got %d records, %v", len(out.Records), err)
				}
			})
		}
		if one, many := allocations(1), allocations(500); many > one {
			t.Errorf("%s: unexpected allocations; got %v for 500 records; want %v as for one", name, many, one)
		}
	}
}

// Sequence numbers are kept for as long as a batch, and the rest of an answer would be kept with them.
func TestAnswerHasEachShardOnce(t *testing.T) {
	var out kinesis.PutRecordsOutput
	if err := awsclient.ReadPutRecords(openAnswerOf(500), 500, &out); err != nil {
		t.Fatal(err)
	}
	for i, e := range out.Records {
		if want := fmt.Sprintf("shardId-%012d", i%7); *e.ShardId != want || *e.SequenceNumber != fmt.Sprintf("%056d", i) {
			t.Fatalf("unexpected entry %d; got %s, %s; want %s, %d", i, *e.ShardId, *e.SequenceNumber, want, i)
		}
		if e.ShardId != out.Records[i%7].ShardId {
			t.Errorf("unexpected copy of %s in entry %d", *e.ShardId, i)
		}
	}
}

// What an answer was read into serves for the next one. What was copied of it stays as it is.
func TestMemoryOfAnswersIsUsedAgain(t *testing.T) {
	var m answers.Memory
	read := func(body []byte, n int) (numbers, shards []string) {
		var out kinesis.PutRecordsOutput
		if err := awsclient.ReadPutRecordsInto(body, n, &m, &out); err != nil || len(out.Records) != n {
			t.Fatalf("unexpected answer; got %d records, %v", len(out.Records), err)
		}
		for _, e := range out.Records {
			numbers, shards = append(numbers, *e.SequenceNumber), append(shards, *e.ShardId)
		}
		return numbers, shards
	}
	numbers, shards := read(openAnswerOf(500), 500)
	broken := openAnswerOf(300)
	if awsclient.ReadPutRecordsInto(broken[:len(broken)/2], 300, &m, new(kinesis.PutRecordsOutput)) == nil {
		t.Fatal("unexpected success with half of an answer")
	}
	for _, n := range []int{3, 500, 1} { // none is left of the answer before
		if got, _ := read(answerOf(n), n); got[n-1] != fmt.Sprintf("%056d", n-1) {
			t.Errorf("unexpected sequence number; got %s; want %d", got[n-1], n-1)
		}
	}
	if m.Clear(); m.Entries[:1][0].SequenceNumber != nil || m.Texts[:1][0] != "" {
		t.Error("unexpected texts after Clear; they keep the memory of an answer")
	}
	for i := range numbers {
		if want := fmt.Sprintf("%056d", i); numbers[i] != want || shards[i] != fmt.Sprintf("shardId-%012d", i%7) {
			t.Fatalf("unexpected copy; got %s in %s; want %s", numbers[i], shards[i], want)
		}
	}
	body := answerOf(500)
	var out kinesis.PutRecordsOutput
	with := testing.AllocsPerRun(20, func() { _ = awsclient.ReadPutRecordsInto(body, 500, &m, &out) })
	without := testing.AllocsPerRun(20, func() { _ = awsclient.ReadPutRecords(body, 500, &out) })
	if with > without-2 {
		t.Errorf("unexpected allocations; got %v; want two less than the %v without the memory", with, without)
	}
}

// The number of records is no more than an estimate of the memory that an answer needs.
func TestAnswerToAnotherNumberOfRecordsIsRead(t *testing.T) {
	for _, expected := range []int{0, 1, 499, 1000} {
		var out kinesis.PutRecordsOutput
		if err := awsclient.ReadPutRecords(openAnswerOf(500), expected, &out); err != nil || len(out.Records) != 500 {
			t.Fatalf("unexpected answer; got %d records, %v", len(out.Records), err)
		}
		for i, e := range out.Records {
			if want := fmt.Sprintf("%056d", i); *e.SequenceNumber != want {
				t.Errorf("unexpected sequence number with %d expected; got %s; want %s", expected, *e.SequenceNumber, want)
			}
		}
	}
}

func TestAnswersThatAreOddAreRead(t *testing.T) {
	var out kinesis.PutRecordsOutput
	body := "\xbf\x67Records\x9f\xbf\x67ShardId\x7f\x62sh\x61d\xff\x6eSequenceNumber\x6231\x69ErrorCode\xf6\x65Other\x81\x01\xff\xf6\xff\x65Other\x01\xff"
	if err := awsclient.ReadPutRecords([]byte(body), 2, &out); err != nil || len(out.Records) != 2 || *out.Records[0].ShardId != "shd" || *out.Records[0].SequenceNumber != "31" ||
		out.Records[0].ErrorCode != nil || out.Records[1].ShardId != nil {
		t.Errorf("unexpected answer; got %+v, %v", out, err)
	}
	full := answerOf(3)
	for n := range full {
		var out kinesis.PutRecordsOutput
		if awsclient.ReadPutRecords(full[:n], 3, &out) == nil {
			t.Errorf("unexpected success with %d of %d bytes", n, len(full))
		}
	}
	if awsclient.ReadPutRecords(append(full, 0), 3, &out) == nil {
		t.Error("unexpected success with bytes behind the end")
	}
}

// TestDefaultFormatOfTheSDK fails when the SDK changes its mind about Kinesis, as it does for
// one service after the other: then there is a format that AWS itself prefers.
func TestDefaultFormatOfTheSDK(t *testing.T) {
	alone(t)
	if got := kinesis.New(kinesis.Options{}).Options().Protocol.ID().String(); got != "aws.protocols#awsJson1_1" {
		t.Errorf("unexpected protocol of the SDK; got %s; want AWS JSON 1.1: see docs/design/039-cbor.md", got)
	}
	url, take := recorder(t)
	s := kinesis.New(kinesis.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: aws.AnonymousCredentials{}})
	if _, err := s.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("logs")}); err != nil {
		t.Fatal(err)
	}
	if h := take().header; h.Get("Content-Type") != inJSON || h.Get("X-Amz-Target") != "Kinesis_20131202.ListShards" || h.Get("Smithy-Protocol") != "" {
		t.Errorf("unexpected request of the SDK; got %v", h)
	}
}
