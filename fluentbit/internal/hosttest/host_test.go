// SPDX-License-Identifier: Apache-2.0

package hosttest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/testkit"
)

func TestDelivery(t *testing.T) {
	for _, workers := range []string{"0", "4"} {
		t.Run("workers "+workers, func(t *testing.T) {
			srv := newServer(t)
			r := run(t, to(srv, "logs", "--kubernetes", "12000", "-p", "workers="+workers)...)
			wantDone(t, r, 12000)
			c := check(t, srv, "logs", 12000)
			if c.Aggregates*20 > len(c.Records) {
				t.Errorf("unexpected aggregation; got %d Kinesis records for %d events; want less than a twentieth", c.KinesisRecords, len(c.Records))
			}
			if warned := strings.Contains(r.log, "engine thread"); warned != (workers == "0") {
				t.Errorf("unexpected warning about the engine thread; got %v; log:\n%s", warned, r.log)
			}
		})
	}
	t.Run("many tags and small chunks share aggregates", func(t *testing.T) {
		srv := newServer(t)
		wantDone(t, run(t, to(srv, "logs", "--kubernetes", "4000", "--tags", "40", "--chunk-bytes", "20000", "-p", "workers=8", "-p", "partition_key=kubernetes->pod_name")...), 4000)
		c := check(t, srv, "logs", 4000)
		for _, rec := range c.Records {
			if !strings.Contains(rec.PartitionKey, "-") {
				t.Fatalf("unexpected partition key %q", rec.PartitionKey)
			}
		}
	})
	t.Run("two instances", func(t *testing.T) {
		srv := newServer(t, kinesistest.WithStream("copy", 2))
		args := append(to(srv, "logs", "--kubernetes", "3000", "--workers", "2"), "--instance")
		wantDone(t, run(t, append(args, to(srv, "copy", "-p", "aggregation=off")...)...), 3000)
		check(t, srv, "logs", 3000)
		if c := check(t, srv, "copy", 3000); c.Aggregates != 0 {
			t.Errorf("unexpected aggregates; got %d; want 0", c.Aggregates)
		}
	})
	t.Run("hosts before 5.0 and 5.1.1", func(t *testing.T) {
		for _, size := range []string{"32", "40"} {
			srv := newServer(t)
			wantDone(t, run(t, to(srv, "logs", "--kubernetes", "100", "--def-size", size)...), 100)
			check(t, srv, "logs", 100)
		}
	})
}

func TestLifecycle(t *testing.T) {
	t.Run("dry run", func(t *testing.T) {
		if r := run(t, "--dry-run", "-p", "stream=logs", "-p", "region=eu-west-1"); r.code != 0 {
			t.Errorf("unexpected exit code; got %d; want 0; log:\n%s", r.code, r.log)
		}
	})
	t.Run("unknown key is refused", func(t *testing.T) {
		r := run(t, "--dry-run", "-p", "strem=logs")
		if r.code != 255 || !strings.Contains(r.log, "unknown configuration property 'strem'") {
			t.Errorf("unexpected end; got code %d; want 255; log:\n%s", r.code, r.log)
		}
	})
	t.Run("numbers that are none are refused", func(t *testing.T) {
		for _, c := range []struct{ args, want string }{
			{"-p workers=two", `workers: "two": not a whole number; allowed: 0 to 1000`},
			{"-p workers=-1", `workers: "-1": out of range; allowed: 0 to 1000`},
			{"-p workers=", `workers: "": not a whole number; allowed: 0 to 1000`},
			{"-p retry_limit=many", `retry_limit (or no_limits, no_retries): "many": not a whole number; allowed: 0 to 2147483647`},
			{"--workers 2x", `--workers: "2x": not a whole number; allowed: 0 to 1000`},
			{"--repeat 99999999999999999999", `--repeat: "99999999999999999999": out of range; allowed: 1 to 2147483647`},
		} {
			r := run(t, append(strings.Fields(c.args), "--dry-run", "-p", "stream=logs", "-p", "region=eu-west-1")...)
			if r.code != 2 || !strings.Contains(r.log, "flb-host: "+c.want+"\n") {
				t.Errorf("%s: unexpected end; got code %d; want 2 and %q; log:\n%s", c.args, r.code, c.want, r.log)
			}
		}
	})
	t.Run("reload", func(t *testing.T) {
		srv := newServer(t)
		r := run(t, to(srv, "logs", "--kubernetes", "2000", "--reload", "3", "--workers", "3")...)
		wantDone(t, r, 8000)
		check(t, srv, "logs", 8000)
		if n := strings.Count(r.log, "] started "); n != 4 {
			t.Errorf("unexpected number of starts; got %d; want 4; log:\n%s", n, r.log)
		}
	})
	t.Run("forked after loading", func(t *testing.T) {
		r := run(t, "--fork", "-p", "stream=logs", "-p", "region=eu-west-1")
		if r.code != 255 || !strings.Contains(r.log, "forked") {
			t.Errorf("unexpected end; got code %d; want 255; log:\n%s", r.code, r.log)
		}
	})
	t.Run("all problems of a configuration are named at once", func(t *testing.T) {
		r := run(t, "--def-size", "40", "-p", "aggregation=banana", "-p", "endpoint=a/b", "-p", "flush_timeout=1x", "-p", "buffer_size=1K",
			"-p", "compression=gzipp", "-p", "partition_key=a->", "-p", "partition-key=x", "-p", "simple_aggregation=maybe")
		if r.code != 255 {
			t.Errorf("unexpected exit code; got %d; want 255", r.code)
		}
		for _, want := range []string{
			`aggregation: "banana"`, `endpoint: "a/b"`, `flush_timeout: "1x"`, `buffer_size: "1K"`, `compression: "gzipp"`,
			`partition_key: "a->"`, "partition-key", `simple_aggregation: "maybe"`, "stream: not set", "region: not set",
		} {
			if !strings.Contains(r.log, want) {
				t.Errorf("unexpected log; %q is missing in:\n%s", want, r.log)
			}
		}
	})
}

func TestFaults(t *testing.T) {
	t.Run("throttled and failed entries", func(t *testing.T) {
		srv := newServer(t)
		srv.Fault(kinesistest.Fault{
			Operation: "PutRecords", Probability: 0.5, Seed: 1,
			Effect: kinesistest.Effect{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.3},
		})
		srv.Fault(kinesistest.Fault{
			Operation: "PutRecords", Probability: 0.3, Seed: 2, Times: 20,
			Effect: kinesistest.Effect{EntryCode: "InternalFailure", EntryShare: 0.2},
		})
		wantDone(t, run(t, to(srv, "logs", "--kubernetes", "8000", "--workers", "4", "-p", "aggregation_max_size=5000")...), 8000)
		check(t, srv, "logs", 8000)
	})
	t.Run("a chunk that takes longer than a flush is not sent again", func(t *testing.T) {
		srv := newServer(t)
		srv.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 6, Effect: kinesistest.Delay(900 * time.Millisecond)})
		r := run(t, to(srv, "logs", "--kubernetes", "6000", "--workers", "2", "-p", "flush_timeout=200ms")...)
		wantDone(t, r, 6000)
		if r.Retried == 0 || r.LongestFlush > 0.9 {
			t.Errorf("unexpected run; got %+v; want retries and no flush above 0.9 s", r.summary)
		}
		check(t, srv, "logs", 6000)
	})
	t.Run("endpoint down, then up", func(t *testing.T) {
		address := testkit.FreeAddress(t)
		srv := kinesistest.New(kinesistest.WithStream("logs", 2), kinesistest.WithLimits(kinesistest.Limits{}))
		t.Cleanup(func() { _ = srv.Close() })
		h := start(t, "--kubernetes", "6000", "--workers", "2", "-p", "stream=logs", "-p", "region=eu-west-1",
			"-p", "endpoint=http://"+address, "-p", "flush_timeout=300ms")
		h.waitFor("will be retried")
		if err := srv.StartAt(address); err != nil {
			t.Fatal(err)
		}
		r := h.wait()
		wantDone(t, r, 6000)
		check(t, srv, "logs", 6000)
		if r.Retried == 0 {
			t.Error("unexpected run; got no retries")
		}
		if n := strings.Count(r.log, "chunks are not confirmed"); n > 5 {
			t.Errorf("unexpected number of lines; got %d for %d retries; want at most 5; log:\n%s", n, r.Retried, r.log)
		}
	})
	t.Run("no such stream, then created", func(t *testing.T) {
		srv := newServer(t)
		h := start(t, to(srv, "later", "--kubernetes", "2000", "--workers", "1", "-p", "flush_timeout=1s")...)
		h.waitFor("will be retried")
		if !strings.Contains(h.logSoFar(), "stream=later") {
			t.Errorf("unexpected log; the stream's name is missing:\n%s", h.logSoFar())
		}
		if err := srv.CreateStream("later", kinesistest.StreamConfig{Shards: 2}); err != nil {
			t.Fatal(err)
		}
		r := h.wait()
		wantDone(t, r, 2000)
		check(t, srv, "later", 2000)
	})
	t.Run("access denied names the action", func(t *testing.T) {
		srv := newServer(t)
		f := srv.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("AccessDeniedException", "not authorized to perform: kinesis:PutRecords")})
		h := start(t, to(srv, "logs", "--kubernetes", "500", "-p", "flush_timeout=1s")...)
		h.waitFor("will be retried")
		f.Remove()
		r := h.wait()
		wantDone(t, r, 500)
		check(t, srv, "logs", 500)
		if !strings.Contains(r.log, "kinesis:PutRecords") {
			t.Errorf("unexpected log; kinesis:PutRecords is missing:\n%s", r.log)
		}
	})
}

// eventBytes is one event in the newer layout.
func eventBytes(t *testing.T, body map[string]any) []byte {
	t.Helper()
	b, err := msgpack.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{0x92, 0x92, 0xd7, 0x00, 0x6a, 0, 0, 0, 0, 0, 0, 0, 0x80}, b...)
}

func rawFile(t *testing.T, parts ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "chunk")
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	if err := os.WriteFile(path, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInputs(t *testing.T) {
	ev := func(seq int) []byte { return eventBytes(t, map[string]any{"seq": seq, "log": "secret"}) }
	t.Run("a broken event is left out", func(t *testing.T) {
		srv := newServer(t)
		r := run(t, to(srv, "logs", "--raw", rawFile(t, ev(0), []byte{0x92, 0xc3, 0x80}, ev(1)))...)
		if r.code != 0 || r.OK != 1 || !strings.Contains(r.log, "cannot be decoded") || strings.Contains(r.log, "secret") {
			t.Errorf("unexpected end; got code %d, %+v; log:\n%s", r.code, r.summary, r.log)
		}
		check(t, srv, "logs", 2)
	})
	t.Run("an unreadable end is an error, the rest is delivered", func(t *testing.T) {
		srv := newServer(t)
		r := run(t, to(srv, "logs", "--raw", rawFile(t, ev(0), ev(1), []byte{0xc1, 1, 2, 3}))...)
		if r.code != 1 || r.Dropped != 1 || !strings.Contains(r.log, "bytes_lost=4") {
			t.Errorf("unexpected end; got code %d, %+v; log:\n%s", r.code, r.summary, r.log)
		}
		check(t, srv, "logs", 2)
	})
	t.Run("group markers are no records", func(t *testing.T) {
		srv := newServer(t)
		begin := []byte{0x92, 0x92, 0xd7, 0x00, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0x80, 0x80}
		end := []byte{0x92, 0x92, 0xd7, 0x00, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0, 0x80, 0x80}
		r := run(t, to(srv, "logs", "--raw", rawFile(t, begin, ev(0), ev(1), end))...)
		if r.code != 0 {
			t.Errorf("unexpected end; got code %d; log:\n%s", r.code, r.log)
		}
		check(t, srv, "logs", 2)
	})
	t.Run("a partition key of 257 characters is cut", func(t *testing.T) {
		srv := newServer(t)
		long := eventBytes(t, map[string]any{"seq": 0, "k": strings.Repeat("\u00e4", 257)})
		r := run(t, to(srv, "logs", "--raw", rawFile(t, long, ev(1)), "-p", "partition_key=k")...)
		if r.code != 0 {
			t.Errorf("unexpected end; got code %d; log:\n%s", r.code, r.log)
		}
		for _, rec := range check(t, srv, "logs", 2).Records {
			if strings.HasPrefix(rec.PartitionKey, "\u00e4") && rec.PartitionKey != strings.Repeat("\u00e4", 256) {
				t.Errorf("unexpected partition key; got %d bytes; want 512", len(rec.PartitionKey))
			}
		}
	})
	t.Run("an event of 9 MB does not hold up the others", func(t *testing.T) {
		srv := newServer(t)
		big := eventBytes(t, map[string]any{"seq": 2, "log": strings.Repeat("x", 9_000_000)})
		r := run(t, to(srv, "logs", "--raw", rawFile(t, ev(0), big, ev(1)))...)
		if r.code != 1 || r.Dropped != 1 || !strings.Contains(r.log, "can never be accepted") || !strings.Contains(r.log, "largest_bytes=9000") {
			t.Errorf("unexpected end; got code %d, %+v; log:\n%.3000s", r.code, r.summary, r.log)
		}
		check(t, srv, "logs", 2)
	})
	t.Run("lines and JSON files", func(t *testing.T) {
		srv := newServer(t)
		path := filepath.Join(t.TempDir(), "app.log")
		var b strings.Builder
		for i := range 50 {
			b.WriteString(`{"seq":` + strconv.Itoa(i) + `,"f":1.5,"s":"a\u00e4\n\ud83d\ude00","n":null,"a":[1,-2,{"t":true}]}` + "\n")
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		wantDone(t, run(t, to(srv, "logs", path)...), 50)
		c := check(t, srv, "logs", 50)
		want := "\"f\":1.5,\"s\":\"a\u00e4\\n\U0001F600\",\"n\":null,\"a\":[1,-2,{\"t\":true}]}"
		if got := string(c.Records[0].Data); !strings.HasSuffix(got, want) {
			t.Errorf("unexpected payload; got %s; want it to end in %s", got, want)
		}
	})
}
