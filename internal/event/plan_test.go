// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

var (
	_ encoding.BinaryAppender    = (*Plan)(nil)
	_ encoding.BinaryUnmarshaler = (*Plan)(nil)
)

type fieldsOf map[string]any

// eventWith is an event with its keys in order.
func eventWith(t *testing.T, m fieldsOf) []byte {
	t.Helper()
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.SetSortMapKeys(true)
	if err := e.Encode(map[string]any(m)); err != nil {
		t.Fatal(err)
	}
	return v2(1764374400, 5, b.Bytes())
}

// recordsBy reads a chunk by a plan and describes its records.
func recordsBy(t *testing.T, s *Shaper, p *Plan, chunk []byte) []string {
	t.Helper()
	var b Builder
	b.Follow(s, p)
	var r ChunkReader
	var ev Event
	for r.Reset(chunk); ; {
		if err := r.Next(&ev); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Add(s, "tag", &ev); err != nil {
			t.Fatal(err)
		}
	}
	p.Settle()
	var list []string
	for i, r := range b.Records() {
		list = append(list, fmt.Sprintf("%s %s %s", b.Streams()[b.StreamOf(i)], r.PartitionKey, r.Data))
	}
	return list
}

// A plan that was written and read again gives the same records in a process that knows
// other streams, other limits, and other streams whose records are not aggregated.
func TestAWrittenPlanGivesTheSameRecords(t *testing.T) {
	cfg := Config{Stream: "logs-$s", StreamMissing: "constant:rest", MaxStreams: 3, Oversize: "split", PartitionKey: "s"}
	t.Run("single", func(t *testing.T) { testWrittenPlan(t, cfg) })
	cfg.Combine = "lines"
	t.Run("combined", func(t *testing.T) { testWrittenPlan(t, cfg) })
}

func testWrittenPlan(t *testing.T, cfg Config) {
	var chunk []byte
	for i, name := range []string{"a", "b", "c", "a", "d"} {
		chunk = append(chunk, eventWith(t, fieldsOf{"s": name, "text": strings.Repeat("x", []int{150_000, 10, 1_200_000, 150_000, 10}[i])})...)
	}
	first, err := NewShaper(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := Plan{RecordLimit: func(string) int { return 1_100_000 }, OwnRecords: func(s string) bool { return s == "logs-a" }}
	want := recordsBy(t, first, &p, chunk)
	written, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	second, err := NewShaper(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_ = recordsBy(t, second, &Plan{}, eventWith(t, fieldsOf{"s": "z"})) // takes room
	again := Plan{RecordLimit: func(string) int { return 4 << 20 }, OwnRecords: func(s string) bool { return s != "logs-a" }}
	if err := again.UnmarshalBinary(written); err != nil {
		t.Fatal(err)
	}
	if got := recordsBy(t, second, &again, chunk); !slices.Equal(got, want) {
		t.Errorf("unexpected records; got %.200q; want %.200q", got, want)
	}
	if got, err := again.MarshalBinary(); err != nil || !bytes.Equal(got, written) {
		t.Errorf("unexpected form; got %x, %v; want %x", got, err, written)
	}
}

func TestWrittenPlans(t *testing.T) {
	if b, err := (&Plan{}).MarshalBinary(); err == nil {
		t.Errorf("unexpected form %x of a plan that is not settled; want an error", b)
	}
	p := Plan{streams: []string{"a", "logs"}, limits: []int{0, 300}, own: []answer{no, yes}, settled: true}
	form := []byte("\x02\x02\x01a\x04logs\x02\x00\xac\x02\x02\x01\x02")
	if got, err := p.AppendBinary(nil); err != nil || !bytes.Equal(got, form) {
		t.Errorf("unexpected form; got %q, %v; want %q", got, err, form)
	}
	for _, c := range []struct{ name, form, want string }{
		{"nothing", "", "breaks off"},
		{"another version", "\x01\x00\x00", "version 1; known: 2"},
		{"half", string(form[:5]), "bytes of a name: out of range; allowed: 0 to 1"},
		{"without limits", string(form[:8]), "breaks off"},
		{"more behind it", string(form) + "x", "1 bytes behind"},
		{"more streams than bytes", "\x02\x7f\x00", "streams: out of range; allowed: 0 to 2"},
		{"more limits than streams", "\x02\x00\x02\x01\x01", "limits: out of range; allowed: 0 to 1"},
		{"a name longer than the rest", "\x02\x01\x09a\x00", "bytes of a name: out of range; allowed: 0 to 3"},
		{"a limit that no stream has", "\x02\x00\x01\x81\x80\x80\x80\x04", "allowed: 0 to 1073741824"},
		{"a number in two bytes", "\x02\x80\x00\x00", "more bytes than needed"},
		{"without answers", "\x02\x00\x00", "breaks off"},
		{"more answers than streams", "\x02\x00\x00\x02\x00\x00", "answers: out of range; allowed: 0 to 1"},
		{"an answer that is none", "\x02\x00\x00\x01\x03", "an answer: out of range; allowed: 0 to 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := new(Plan).UnmarshalBinary([]byte(c.form)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("unexpected error; got %v; want %q", err, c.want)
			}
		})
	}
}

// What is read is settled, and has one form.
func FuzzPlan(f *testing.F) {
	for _, s := range []string{"\x02\x00\x00\x00", "\x02\x02\x01a\x04logs\x02\x00\xac\x02\x02\x01\x02", "\x02\x00\x01\x05\x01\x02", "\x01"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, form []byte) {
		var p Plan
		if p.UnmarshalBinary(form) != nil {
			return
		}
		if got, err := p.MarshalBinary(); err != nil || !bytes.Equal(got, form) {
			t.Fatalf("unexpected form; got %x, %v; want %x", got, err, form)
		}
	})
}

// What is remembered of a chunk by numbers of records is for one version of the encoder.
// When this test fails, the records of some event have changed: raise EncoderVersion.
func TestEncoderVersionStandsForTheRecords(t *testing.T) {
	var chunk []byte
	for _, e := range []fieldsOf{
		{"log": "a\x00\xffb\u2028", "n": 1 << 60, "f": 1.5e300, "t": true, "nil": nil, "k.d": map[string]any{"x.y": []any{1, "2"}}},
		{"log": strings.Repeat("line \u00e4 ", 900), "s": "other"},
		{},
		{"log": ""},
	} {
		chunk = append(chunk, eventWith(t, e)...)
	}
	h := sha256.New()
	for _, cfg := range []Config{
		{},
		{LogKey: "log", AppendNewline: true, EmptyEvents: "drop"},
		{TimeKey: "time", ReplaceDots: "_", DataKeys: []string{"log", "k.d"}},
		{Oversize: "split", MaxRecordBytes: 4096, PartitionKey: "s", PartitionKeyMissing: "tag"},
		{Oversize: "truncate", MaxRecordBytes: 4096},
		{Compression: "zstd"},
		{Combine: "lines", CombineSize: 1024},
		{Combine: "json_array", LogKey: "log", Compression: "gzip", MaxRecordBytes: 4096},
		{Combine: "lines", Compression: "zstd", CombineSize: 1 << 20, MaxRecordBytes: 4096, PartitionKey: "s"},
	} {
		cfg.Stream = "logs"
		s, err := NewShaper(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range recordsBy(t, s, &Plan{}, chunk) {
			fmt.Fprintf(h, "%d %s", len(r), r)
		}
	}
	const version, want = 4, "4779ca1144a87ed3"
	if got := fmt.Sprintf("%x", h.Sum(nil)[:8]); got != want || EncoderVersion != version {
		t.Errorf("unexpected records of EncoderVersion %d; got %s; want version %d, %s", EncoderVersion, got, version, want)
	}
}
