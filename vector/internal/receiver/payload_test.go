// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
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
	"github.com/vmihailenco/msgpack/v5"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/event"
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

// The plugin shapes what comes as MessagePack; the same events as JSON come out equal.
func TestEventsAreShapedAsInThePlugin(t *testing.T) {
	events := []map[string]any{
		{"a.b": map[string]any{"c.d": []any{map[string]any{"e.f": "g.h"}, 1}}, "m": "text", "n": -5, "t": true, "z": nil},
		{"m": map[string]any{"x.y": []any{}}, "n": uint64(1) << 63},
		{"m": []any{map[string]any{"p.q": 1}}, "a.b": 1},
		{"m": "{\"i.j\":1}", "\u00e9.\n": "\"\\"},
		{},
	}
	for _, c := range []event.Config{
		{DataKeys: []string{"m", "a.b"}},
		{ReplaceDots: "_"},
		{DataKeys: []string{"a.b", "n"}, ReplaceDots: "--"},
		{LogKey: "m", ReplaceDots: "_"},
		{LogKey: "m", DataKeys: []string{"n"}},
		{DataKeys: []string{"m"}, AppendNewline: true, Compression: "zlib", CompressionLevel: 9},
	} {
		shaper, err := event.NewShaper(c)
		if err != nil {
			t.Fatal(err)
		}
		var chunk bytes.Buffer
		enc := msgpack.NewEncoder(&chunk)
		enc.SetSortMapKeys(true)
		var lines bytes.Buffer
		js := json.NewEncoder(&lines)
		js.SetEscapeHTML(false)
		for _, e := range events {
			if err := errors.Join(enc.Encode([]any{1, e}), js.Encode(e)); err != nil {
				t.Fatal(err)
			}
		}
		var reader event.ChunkReader
		var ev event.Event
		var builder event.Builder
		for reader.Reset(chunk.Bytes()); reader.Next(&ev) == nil; {
			if _, err := builder.Add(shaper, "", &ev); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, "--route.data_keys="+strings.Join(c.DataKeys, ","), "--route.replace_dots="+c.ReplaceDots, "--route.log_key="+c.LogKey,
				"--route.compression="+cmp.Or(c.Compression, "none"), fmt.Sprint("--route.compression_level=", c.CompressionLevel), fmt.Sprint("--route.append_newline=", c.AppendNewline))
			defer r.stop()
			r.post(t.Context(), "/", lines.Bytes()).want(t, 200, "")
			got, want := map[string]int{}, map[string]int{}
			for _, rec := range r.kinesis.Consume("logs").Records {
				got[string(rec.Data)]++
			}
			for _, rec := range builder.Records() {
				want[string(rec.Data)]++
			}
			if !maps.Equal(got, want) {
				t.Errorf("unexpected events with %+v; got %+v; want %+v", c, got, want)
			}
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
		r.post(t.Context(), "/", []byte(small+large)).want(t, 422, "limits.memory")
		if got := r.kinesis.Consume("logs").Records; len(got) != 1 || string(got[0].Data) != `{"a`+strings.Repeat("x", 1000)+`b":1}` {
			t.Errorf("unexpected records; got %d; want the first body alone", len(got))
		}
		synctest.Wait()
		if used, _ := r.server.budget.state(); used != 0 {
			t.Errorf("unexpected memory in use; got %d bytes; want 0", used)
		}
	})
}
