// SPDX-License-Identifier: Apache-2.0

package httpsink

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// The time that a MessagePack event gets is no key of the event, which data_keys is about.
func TestDataKeysOfMessagePackAndOTLP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--route.data_keys=a.b,body", "--route.replace_dots=_")
		defer r.stop()
		chunk := []byte("\x92\x01\x82\xa3a.b\x02\xa1c\x03") // [1, {"a.b": 2, "c": 3}]
		r.post(t.Context(), "/", chunk, "Content-Type", "application/msgpack").want(t, 200, "")
		request := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityText":"x","body":{"stringValue":"m"}}]}]}]}`
		r.post(t.Context(), "/v1/logs", []byte(request), "Content-Type", "application/json").want(t, 200, "")
		want := map[string]bool{`{"date":1.000000000,"a_b":2}`: true, `{"body":"m"}`: true}
		got := r.kinesis.Consume("logs").Records
		for _, rec := range got {
			if !want[string(rec.Data)] {
				t.Errorf("unexpected record %s", rec.Data)
			}
		}
		if len(got) != 2 {
			t.Errorf("unexpected number of records; got %d; want 2", len(got))
		}
	})
}

func TestCompressionOfEachEvent(t *testing.T) {
	unpack := map[string]func(io.Reader) ([]byte, error){
		"gzip": func(r io.Reader) ([]byte, error) { z, _ := gzip.NewReader(r); return io.ReadAll(z) },
		"zlib": func(r io.Reader) ([]byte, error) { z, _ := zlib.NewReader(r); return io.ReadAll(z) },
		"zstd": func(r io.Reader) ([]byte, error) {
			z, _ := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
			return io.ReadAll(z)
		},
		"snappy": func(r io.Reader) ([]byte, error) {
			b, err := io.ReadAll(r)
			if err != nil {
				return nil, err
			}
			return snappy.Decode(nil, b)
		},
	}
	for name, f := range unpack {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// The size that counts is that after compression.
				r := newRig(t, "--route.compression="+name, "--route.data_keys=n,text", "--route.append_newline=true", "--route.record_max_size=2000")
				defer r.stop()
				text := strings.Repeat("a", 3000)
				body := []byte(`{"n":0,"x":1,"text":"` + text + `"}` + "\n" + `{"n":1,"text":"` + text + `"}`)
				var answers []int
				h := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("InternalFailure", "down")})
				answers = append(answers, r.from(t.Context(), "10.0.0.1:1000", body))
				h.Remove()
				wait(t.Context(), 10*time.Second)
				answers = append(answers, r.from(t.Context(), "10.0.0.1:1000", body))
				if !slices.Equal(answers, []int{503, 200}) {
					t.Errorf("unexpected answers; got %v; want 503 and 200", answers)
				}
				got := map[string]int{}
				for _, rec := range r.kinesis.Consume("logs").Records {
					plain, err := f(bytes.NewReader(rec.Data))
					if err != nil {
						t.Fatalf("cannot unpack a record: %v", err)
					}
					got[string(plain)]++
				}
				want := map[string]int{`{"n":0,"text":"` + text + "\"}\n": 1, `{"n":1,"text":"` + text + "\"}\n": 1}
				if !maps.Equal(got, want) {
					t.Errorf("unexpected events; got %d different ones; want each of two once", len(got))
				}
			})
		})
	}
}

// Events that grow by what replaces their dots are bounded like the body.
func TestShapedEventsNeedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--route.replace_dots="+strings.Repeat("x", 1000), "--limits.wire_max_size=64KiB", "--limits.body_max_size=64KiB", "--limits.events=100", "--limits.memory=4MiB")
		defer r.stop()
		small, large := `{"a.b":1}`, `{"`+strings.Repeat(".", 4000)+`":1}`
		r.post(t.Context(), "/", []byte(small)).want(t, 200, "")
		r.post(t.Context(), "/", []byte(small+large)).want(t, 413, "limits.memory")
		if got := r.kinesis.Consume("logs").Records; len(got) != 1 || string(got[0].Data) != `{"a`+strings.Repeat("x", 1000)+`b":1}` {
			t.Errorf("unexpected records; got %d; want the first body alone", len(got))
		}
		synctest.Wait()
		if used, _ := r.server.budget.state(); used != 0 {
			t.Errorf("unexpected memory in use; got %d bytes; want 0", used)
		}
	})
}
