// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
)

func TestHTTPSpeaksAWSJSON(t *testing.T) {
	s := startServer(t, WithStream("demo", 1))
	tests := []struct {
		name, method, target, body string
		status                     int
		want                       []string
	}{
		{"health check", "GET", "", "", 200, nil},
		{
			"put", "POST", "Kinesis_20131202.PutRecords", `{"StreamName":"demo","Records":[{"PartitionKey":"a","Data":"eA=="}]}`, 200,
			[]string{`"FailedRecordCount":0`, `"ShardId":"shardId-000000000000"`, `"SequenceNumber":"49`},
		},
		{
			"put with spaces, escapes and an unknown member", "POST", "Kinesis_20131202.PutRecords",
			"{ \"Records\" : [ {\"Data\" : \"e\\u0041==\", \"PartitionKey\":\"\\u00e9\\\"\", \"Other\":[1,{}]} ],\n\"StreamName\":\"demo\" }", 200,
			[]string{`"FailedRecordCount":0`},
		},
		{"missing stream", "POST", "Kinesis_20131202.ListShards", `{"StreamName":"x"}`, 400, []string{`"__type":"ResourceNotFoundException"`, `"message":"Stream x under account`}},
		{"empty body", "POST", "Kinesis_20131202.ListStreams", "", 200, []string{`"StreamNames":["demo"]`}},
		{"unknown operation", "POST", "Kinesis_20131202.Nonsense", "{}", 400, []string{"UnknownOperationException"}},
		{"no target", "POST", "", "{}", 400, []string{"UnknownOperationException"}},
		{"not JSON", "POST", "Kinesis_20131202.PutRecords", `{"StreamName":"demo","Records":[`, 400, []string{"SerializationException"}},
		{"wrong type", "POST", "Kinesis_20131202.ListShards", `{"StreamName":7}`, 400, []string{"SerializationException"}},
		{"time", "POST", "Kinesis_20131202.ListShards", `{"StreamName":"demo","ShardFilter":{"Type":"AT_TIMESTAMP","Timestamp":32503680000.5}}`, 200, []string{`"ShardId":"shardId-000000000000"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := must[*http.Request](t)(http.NewRequest(tt.method, s.URL()+"/", strings.NewReader(tt.body)))
			req.Header.Set("X-Amz-Target", tt.target)
			res := must[*http.Response](t)(s.httpClient().Do(req)) //nolint:bodyclose // closed in the next line; must hides it from the linter
			defer func() { noError(t, res.Body.Close()) }()
			body := string(must[[]byte](t)(io.ReadAll(res.Body)))
			equal(t, "status", res.StatusCode, tt.status)
			if len(res.Header.Get("x-amzn-requestid")) != 36 {
				t.Errorf("unexpected request id %q", res.Header.Get("x-amzn-requestid"))
			}
			for _, w := range tt.want {
				if !strings.Contains(body, w) {
					t.Errorf("unexpected body; got %s; want %s in it", body, w)
				}
			}
			if tt.method == "POST" && !json.Valid([]byte(body)) {
				t.Errorf("unexpected body; got %s; want JSON", body)
			}
		})
	}
}

func TestTLSWithItsOwnAuthority(t *testing.T) {
	s := startServer(t, WithStream("demo", 1), WithTLS())
	if !strings.HasPrefix(s.URL(), "https://127.0.0.1:") {
		t.Fatalf("unexpected address %s", s.URL())
	}
	must[*kinesis.PutRecordsOutput](t)(s.SDK().PutRecords(context.Background(), many(3, 10)))
	for name, e := range map[string]Effect{"reset": Reset(), "lost reply": LoseReply()} {
		s.Fault(Fault{Times: 1, Effect: e})
		if _, err := s.SDK().PutRecords(context.Background(), many(3, 10)); err == nil {
			t.Errorf("unexpected success after %s", name)
		}
	}
	if !strings.Contains(string(s.CertPEM()), "BEGIN CERTIFICATE") {
		t.Errorf("unexpected PEM %q", s.CertPEM())
	}
}

func TestHandlerWorksInAnyServer(t *testing.T) {
	s := New(WithStream("demo", 1))
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()
	defer func() { noError(t, s.Close()) }()
	c := s.SDK(func(o *kinesis.Options) { o.BaseEndpoint = aws.String(srv.URL) })
	must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), many(3, 10)))
	equal(t, "records", s.Stats().Records, 3)
}

func TestCloseEndsHangingCalls(t *testing.T) {
	s := New(WithStream("demo", 1))
	noError(t, s.Start())
	noError(t, s.Start()) // does nothing
	arrived := make(chan struct{}, 1)
	s.Fault(Fault{Effect: Effect{Do: func() { arrived <- struct{}{} }, Hang: true}})
	done := make(chan error, 1)
	go func() {
		_, err := s.SDK().PutRecords(context.Background(), many(1, 1))
		done <- err
	}()
	<-arrived
	noError(t, s.Close())
	if err := <-done; err == nil {
		t.Error("unexpected success of a hanging call")
	}
	noError(t, s.Close())
	if err := s.Start(); !errors.Is(err, ErrClosed) {
		t.Errorf("unexpected error; got %v; want ErrClosed", err)
	}
	s.ClearFaults()
	must[*kinesis.PutRecordsOutput](t)(s.Client().PutRecords(context.Background(), many(1, 1)))
}

func TestConcurrentCallsOverHTTPCountExactly(t *testing.T) {
	s := startServer(t, WithStream("demo", 4), WithCountOnly())
	c := s.SDK()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if _, err := c.PutRecords(context.Background(), many(100, 100)); err != nil {
					t.Errorf("unexpected error: %s", err)
				}
			}
		})
	}
	wg.Wait()
	equal(t, "calls", s.Calls("PutRecords"), 400)
	equal(t, "records", s.Stats().Records, 40000)
}

var decodeSeeds = []string{
	`{}`, `{"Records":[]}`, `{"StreamName":"s","StreamARN":"a","StreamId":"i","Records":[{"Data":"","PartitionKey":"k","ExplicitHashKey":"1"}]}`,
	`{"Records":[{"Data":"AAEC","PartitionKey":"a\"b\\"},{"PartitionKey":"\ud83d\ude00"}]}`, `{"Records":[{"Data":"A A="}]}`,
	`{"Records":[{"Data":null}],"StreamName":null}`, `{"Records":[{"Data":"AA\nEC"}]}`, `{"Records":[{"PartitionKey":"` + "\x80" + `"}]}`, `{"A":1} `, `{"StreamName":"s"}x`,
	`{"Records":[{"Data":"AAEC","Data":"AA=="}]}`, `{"Records":[{}],"Records":[]}`, `{"records":[{"data":"AA=="}]}`,
}

// TestFastDecodingAgreesWithTheLibrary and the fuzz test compare the hand-written
// decoder with encoding/json wherever it does not give up.
func TestFastDecodingAgreesWithTheLibrary(t *testing.T) {
	for _, body := range decodeSeeds {
		compareDecoders(t, []byte(body))
	}
	equal(t, "taken by the fast decoder", decodePutRecords([]byte(decodeSeeds[2]), &kinesis.PutRecordsInput{}, nil), true)
	equal(t, "taken by the fast decoder", decodePutRecords([]byte(decodeSeeds[8]), &kinesis.PutRecordsInput{}, nil), false)
}

func FuzzDecodePutRecords(f *testing.F) {
	for _, body := range decodeSeeds {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { compareDecoders(t, body) })
}

func compareDecoders(t *testing.T, body []byte) {
	t.Helper()
	var fast, slow kinesis.PutRecordsInput
	if !decodePutRecords(body, &fast, make([]byte, 0, len(body))) {
		return
	}
	if err := json.Unmarshal(body, &slow); err != nil {
		t.Fatalf("unexpected success of the fast decoder for %q: %s", body, err)
	}
	if !reflect.DeepEqual(fast, slow) {
		t.Errorf("unexpected input for %q; got %s; want %s", body, dump(fast), dump(slow))
	}
}

func dump(in kinesis.PutRecordsInput) string {
	out := fmt.Sprintf("name %q arn %q id %q", aws.ToString(in.StreamName), aws.ToString(in.StreamARN), aws.ToString(in.StreamId))
	for _, e := range in.Records {
		out += fmt.Sprintf(" [%q %q %q nil=%t]", aws.ToString(e.PartitionKey), aws.ToString(e.ExplicitHashKey), e.Data, e.Data == nil)
	}
	return out
}

func BenchmarkHTTP(b *testing.B) {
	for _, bc := range []struct{ records, size int }{{500, 200}, {80, 50 << 10}} {
		b.Run(fmt.Sprintf("%dx%d", bc.records, bc.size), func(b *testing.B) {
			s := startServer(b, WithStream("demo", 4), WithCountOnly())
			c := s.SDK()
			in := many(bc.records, bc.size)
			b.ReportAllocs()
			b.SetBytes(int64(bc.records * bc.size))
			for b.Loop() {
				if _, err := c.PutRecords(context.Background(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHandler is the server's half alone.
func BenchmarkHandler(b *testing.B) {
	s := New(WithStream("demo", 4), WithCountOnly())
	defer func() { noError(b, s.Close()) }()
	body := must[[]byte](b)(json.Marshal(many(80, 50<<10)))
	h := s.Handler()
	b.ReportAllocs()
	b.SetBytes(80 * 50 << 10)
	for b.Loop() {
		req := httptest.NewRequest("POST", "/", strings.NewReader(aliasString(body)))
		req.Header.Set("X-Amz-Target", "Kinesis_20131202.PutRecords")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}

func TestOnlyTheAcceptedKeyMayCall(t *testing.T) {
	s := startServer(t, WithStream("logs", 1))
	call := func(key string) string {
		t.Helper()
		c := s.SDK(func(o *kinesis.Options) {
			o.Credentials = credentials.NewStaticCredentialsProvider(key, "secret", "")
			o.Retryer = aws.NopRetryer{}
		})
		_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("logs"), PartitionKey: aws.String("k"), Data: []byte("x")})
		var api smithy.APIError
		if errors.As(err, &api) {
			return api.ErrorCode()
		}
		if err != nil {
			return err.Error()
		}
		return ""
	}
	for _, c := range []struct{ accept, key, want string }{
		{"", "A", ""}, {"A", "A", ""}, {"B", "A", "ExpiredTokenException"}, {"B", "B", ""}, {"", "A", ""},
	} {
		s.AcceptKey(c.accept, "ExpiredTokenException")
		if got := call(c.key); got != c.want {
			t.Errorf("unexpected answer for key %q where %q is accepted; got %q; want %q", c.key, c.accept, got, c.want)
		}
	}
	if got := len(s.Records("logs")); got != 4 {
		t.Errorf("unexpected records; got %d; want 4", got)
	}
}
