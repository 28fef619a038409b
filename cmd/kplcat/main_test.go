// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"go.uber.org/goleak"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestMain(m *testing.M) {
	// Nothing of the machine may take part.
	for k, v := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		if err := os.Setenv(k, v); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

const stream = "logs"

// newServer starts a fake with a stream.
func newServer(t *testing.T, shards int) *kinesistest.Server {
	t.Helper()
	s := kinesistest.New(kinesistest.WithStream(stream, shards))
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// result is what a run printed.
type result struct {
	code           int
	stdout, stderr string
}

func kplcat(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return result{code, out.String(), errs.String()}
}

// of runs kplcat on the fake.
func of(t *testing.T, s *kinesistest.Server, args ...string) result {
	t.Helper()
	return kplcat(t, "", append([]string{"--endpoint", s.URL(), stream}, args...)...)
}

// line is a line of output.
type line struct {
	Shard, Source, Sequence string
	Subsequence             *int
	Arrival                 time.Time
	Key                     string
	KeyBase64               []byte `json:"key_base64"`
	ExplicitHashKey         string `json:"explicit_hash_key"`
	Aggregated              bool
	Misplaced               bool
	OutOfRange              bool   `json:"out_of_range"`
	KCLError                string `json:"kcl_error"`
	DamagedAggregate        bool   `json:"damaged_aggregate"`
	Tags                    []struct{ Key, Value string }
	Compression             string
	Data                    json.RawMessage
	DataBase64              []byte `json:"data_base64"`
	Bytes                   *int
}

func (r result) lines(t *testing.T) []line {
	t.Helper()
	var out []line
	for s := range strings.Lines(r.stdout) {
		var l line
		d := json.NewDecoder(strings.NewReader(s))
		d.DisallowUnknownFields()
		if err := d.Decode(&l); err != nil {
			t.Fatalf("cannot read line %q: %s", s, err)
		}
		out = append(out, l)
	}
	return out
}

func (r result) ok(t *testing.T) result {
	t.Helper()
	if r.code != exitOK {
		t.Fatalf("unexpected exit code %d; want 0; stderr: %s", r.code, r.stderr)
	}
	return r
}

// put stores a Kinesis record in a shard.
func put(t *testing.T, s *kinesistest.Server, shard int, key string, data []byte) {
	t.Helper()
	_, err := s.Client().PutRecord(t.Context(), &kinesis.PutRecordInput{
		StreamName: aws.String(stream), PartitionKey: &key, Data: data,
		ExplicitHashKey: aws.String(s.Shards(stream)[shard].StartingHashKey),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ur is a user record to aggregate.
type ur struct{ key, ehk, data string }

func aggregate(t *testing.T, urs ...ur) []byte {
	t.Helper()
	var b aggregation.Builder
	for _, u := range urs {
		if u.ehk == "" {
			b.Add(u.key, []byte(u.data))
			continue
		}
		k, err := aggregation.ParseHashKey(u.ehk)
		if err != nil {
			t.Fatal(err)
		}
		b.AddExplicit(u.key, k, []byte(u.data))
	}
	return b.AppendTo(nil)
}

// write makes a file in a directory of its own and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}
