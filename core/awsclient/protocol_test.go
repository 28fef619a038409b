// SPDX-License-Identifier: Apache-2.0

package awsclient_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// request is what a server got.
type request struct {
	header http.Header
	body   []byte
}

// recorder answers everything with an empty result and keeps the requests.
func recorder(t testing.TB) (url string, take func() request) {
	t.Helper()
	var mu sync.Mutex
	var last request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		last = request{r.Header, b}
		mu.Unlock()
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = io.WriteString(w, `{"FailedRecordCount":0,"Records":[]}`)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() request {
		mu.Lock()
		defer mu.Unlock()
		return last
	}
}

func newClient(t testing.TB, url string) core.Client {
	t.Helper()
	c, err := awsclient.New(context.Background(), awsclient.Config{Region: "us-east-1", Endpoint: url})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRequestsAreThoseOfTheSDK compares with a client that serializes itself.
func TestRequestsAreThoseOfTheSDK(t *testing.T) {
	alone(t)
	url, take := recorder(t)
	ours := newClient(t, url)
	sdk := kinesis.New(kinesis.Options{Region: "us-east-1", BaseEndpoint: aws.String(url), Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")})
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, c := range []struct {
		name string
		in   kinesis.PutRecordsInput
	}{
		{"one record", kinesis.PutRecordsInput{StreamName: aws.String("logs"), Records: []types.PutRecordsRequestEntry{{Data: []byte("a"), PartitionKey: aws.String("k")}}}},
		{"by ARN, with hash key", kinesis.PutRecordsInput{StreamARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/logs"), Records: []types.PutRecordsRequestEntry{
			{Data: every, PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("340282366920938463463374607431768211455")},
			{Data: []byte{}, PartitionKey: aws.String("empty data")},
		}}},
		{"keys that need escapes", kinesis.PutRecordsInput{StreamName: aws.String("logs"), Records: []types.PutRecordsRequestEntry{
			{Data: []byte("x"), PartitionKey: aws.String("\"\\/\b\f\n\r\t\x00\x01\x1f\x7f <>&")},
			{Data: []byte("z"), PartitionKey: aws.String("a\xff\xc3")},
			{Data: []byte("y"), PartitionKey: aws.String("\u00e4\u20ac\U0001F600\u2028\u2029\ufffd")},
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := sdk.PutRecords(t.Context(), &c.in); err != nil {
				t.Fatal(err)
			}
			want := take()
			if _, err := ours.PutRecords(t.Context(), &c.in); err != nil {
				t.Fatal(err)
			}
			got := take()
			var a, b any
			if err := errors.Join(json.Unmarshal(got.body, &a), json.Unmarshal(want.body, &b)); err != nil {
				t.Fatalf("%v in %s", err, got.body)
			}
			if !reflect.DeepEqual(a, b) {
				t.Errorf("unexpected body; got %s; want %s", got.body, want.body)
			}
			for _, h := range []string{"X-Amz-Target", "Content-Type"} {
				if got.header.Get(h) != want.header.Get(h) {
					t.Errorf("unexpected header %s; got %q; want %q", h, got.header.Get(h), want.header.Get(h))
				}
			}
			if !strings.Contains(got.header.Get("Authorization"), "Signature=") {
				t.Error("unexpected request; it has no signature")
			}
		})
	}
}

// TestBodiesAreNotSharedWhileInUse sends from many goroutines, with answers that come
// before the request was read, and looks whether what arrives is whole.
func TestBodiesAreNotSharedWhileInUse(t *testing.T) {
	alone(t)
	var mu sync.Mutex
	broken := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength%2 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable) // the rest of the body comes, or not
			return
		}
		var in struct{ Records []struct{ Data []byte } }
		err := json.NewDecoder(r.Body).Decode(&in)
		for _, rec := range in.Records {
			if err != nil || bytes.Count(rec.Data, rec.Data[:1]) != len(rec.Data) {
				mu.Lock()
				broken++
				mu.Unlock()
			}
		}
		_, _ = io.WriteString(w, `{"FailedRecordCount":0,"Records":[]}`)
	}))
	defer s.Close()
	c := newClient(t, s.URL)
	var work sync.WaitGroup
	for g := range 8 {
		work.Go(func() {
			for i := range 60 {
				data := bytes.Repeat([]byte{byte('a' + g)}, 1000+(i*7919+g*104729)%400_000)
				_, _ = c.PutRecords(t.Context(), &kinesis.PutRecordsInput{
					StreamName: aws.String("logs"),
					Records:    []types.PutRecordsRequestEntry{{Data: data, PartitionKey: aws.String("k")}},
				})
			}
		})
	}
	work.Wait()
	if broken > 0 {
		t.Errorf("unexpected bodies; got %d that are not what was sent", broken)
	}
}

func TestErrorsAreThoseOfTheSDK(t *testing.T) {
	alone(t)
	s := kinesistest.New()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err := newClient(t, s.URL()).PutRecords(t.Context(), &kinesis.PutRecordsInput{
		StreamName: aws.String("none"),
		Records:    []types.PutRecordsRequestEntry{{Data: []byte("a"), PartitionKey: aws.String("k")}},
	})
	var want *types.ResourceNotFoundException
	if !errors.As(err, &want) {
		t.Errorf("unexpected error; got %v; want ResourceNotFoundException", err)
	}
}

func BenchmarkPutRecords(b *testing.B) {
	for _, name := range []string{"AWS_PROFILE", "AWS_CA_BUNDLE"} {
		b.Setenv(name, "")
	}
	b.Setenv("AWS_ACCESS_KEY_ID", "id")
	b.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"FailedRecordCount":0,"Records":[]}`)
	}))
	defer s.Close()
	inJSON, inCBOR := newFormat(b, s.URL, awsclient.WireJSON), newFormat(b, s.URL, awsclient.WireCBOR)
	in := &kinesis.PutRecordsInput{StreamName: aws.String("logs")}
	for range 20 {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: bytes.Repeat([]byte("x"), 51_200), PartitionKey: aws.String("k")})
	}
	sdk := kinesis.New(kinesis.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL), Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")})
	for _, one := range []struct {
		name string
		put  func() error
	}{
		{"CBOR", func() error { _, err := inCBOR.PutRecords(b.Context(), in); return err }},
		{"JSON", func() error { _, err := inJSON.PutRecords(b.Context(), in); return err }},
		{"the SDK", func() error { _, err := sdk.PutRecords(b.Context(), in); return err }},
	} {
		b.Run(one.name, func(b *testing.B) {
			b.SetBytes(20 * 51_200)
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				if err := one.put(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpuTime(b)-before).Seconds()/(float64(b.N)*20*51_200/1e9), "cpu-s/GB")
		})
	}
}

// cpuTime is what the process has used of the processor, the server of a benchmark included.
func cpuTime(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// BenchmarkSerialize is the part of a call that the format decides: to write the request, to
// hash it for the signature, and to read the answer.
func BenchmarkSerialize(b *testing.B) {
	for _, records := range []struct{ n, size int }{{20, 51_200}, {500, 250}} {
		in := &kinesis.PutRecordsInput{StreamName: aws.String("logs")}
		for range records.n {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{
				Data: bytes.Repeat([]byte("x"), records.size), PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("340282366920938463463374607431768211455"),
			})
		}
		for name, appendTo := range map[string]func([]byte, *kinesis.PutRecordsInput) []byte{"JSON": awsclient.AppendJSON, "CBOR": awsclient.AppendCBOR} {
			b.Run(fmt.Sprintf("%s/%dx%d", name, records.n, records.size), func(b *testing.B) {
				b.SetBytes(int64(records.n * records.size))
				b.ReportAllocs()
				buf := make([]byte, 0, 4<<20)
				for b.Loop() {
					buf = appendTo(buf[:0], in)
					sha256.Sum256(buf)
				}
			})
		}
	}
	b.Run("answer to 500", func(b *testing.B) {
		body := answerOf(500)
		b.ReportAllocs()
		for b.Loop() {
			var out kinesis.PutRecordsOutput
			if err := awsclient.ReadPutRecords(body, 500, &out); err != nil {
				b.Fatal(err)
			}
		}
	})
}
