// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// readTokens returns the tokens of a JSON text.
func readTokens(t *testing.T, text []byte) (out []any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatalf("unexpected text; got %q: %v", text, err)
		}
		out = append(out, tok)
	}
}

// equalTokens compares what was read with what is wanted. A float is equal if the
// text reads back as the same number of its size.
func equalTokens(got, want []any) bool {
	return slices.EqualFunc(got, want, func(g, w any) bool {
		f, isFloat := w.(float64)
		if !isFloat {
			return g == w
		}
		n, isNumber := g.(json.Number)
		x, err := strconv.ParseFloat(string(n), 64)
		y, _ := strconv.ParseFloat(string(n), 32)
		return isNumber && err == nil && strings.ContainsAny(string(n), ".e") && (x == f || float64(float32(y)) == f) && math.Signbit(x) == math.Signbit(f)
	})
}

func TestRandomValuesAsJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for i := range 5000 {
		v := modelValue(r, 0)
		packed := v.encode(r, nil)
		out, rest, err := AppendJSON(nil, packed)
		if err != nil || len(rest) != 0 {
			t.Fatalf("unexpected result %d for % x; got %v, %d bytes left", i, packed, err, len(rest))
		}
		if got, want := readTokens(t, out), v.tokens(tokenOptions{}); !equalTokens(got, want) {
			t.Fatalf("unexpected text for % x; got %s; want %v", packed, out, want)
		}
	}
}

// A whole chunk with every option against the same done step by step.
func TestRandomChunks(t *testing.T) {
	const seed = 4
	r := rand.New(rand.NewPCG(seed, 2))
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	for range 150 {
		cfg := Config{
			ReplaceDots: pick("", "_", "..", "\""), TimeKey: pick("", "time"), TimeKeyFormat: "%s.%9N", MetadataKey: pick("", "meta"), GroupKey: pick("", "group"),
			AppendNewline: r.IntN(2) == 0,
		}
		if r.IntN(2) == 0 {
			cfg.DataKeys = []string{"a", "b.c", "log", "k\x00"}
		}
		if r.IntN(4) == 0 {
			cfg.LogKey = "log"
		}
		s := mustShaper(t, cfg)
		var chunk []byte
		var want [][]any
		var group *value
		for range 1 + r.IntN(20) {
			sec, nsec := r.Uint32N(1<<31), r.Uint32N(1e9)
			body, metadata := modelMap(r, 0, 8), modelMap(r, 0, 3)
			marker := r.IntN(6)
			switch marker {
			case 0:
				sec, nsec, group = groupStartSeconds, 0, &body
				if len(body.encode(r, nil)) > MaxGroupBytes/2 {
					body.pairs = nil
				}
			case 1:
				sec, nsec, group = groupEndSeconds, 0, nil
			}
			v1 := marker > 1 && r.IntN(4) == 0
			chunk = head(r, chunk, 2, 0x90, 15, 0, 0xdc, 0xdd)
			if !v1 {
				chunk = head(r, chunk, 2, 0x90, 15, 0, 0xdc, 0xdd)
			}
			ts := value{class: classExt, text: string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, sec), nsec))}
			if marker > 1 && r.IntN(3) == 0 {
				ts, nsec = value{class: classUint, uint: uint64(sec)}, 0
			}
			chunk = ts.encode(r, chunk)
			if !v1 {
				chunk = metadata.encode(r, chunk)
			} else {
				metadata = value{class: classMap}
			}
			chunk = body.encode(r, chunk)
			if marker > 1 {
				want = append(want, expected(cfg, sec, nsec, &body, &metadata, group))
			}
		}
		var b Builder
		rd := NewChunkReader(chunk)
		for ev := (Event{}); ; {
			err := rd.Next(&ev)
			if err == io.EOF {
				break
			}
			if err == nil {
				_, err = b.Add(s, "tag", &ev)
			}
			if err != nil {
				t.Fatalf("unexpected error; got %v; seed %d", err, seed)
			}
		}
		recs := b.Records()
		if len(recs) != len(want) {
			t.Fatalf("unexpected number of records; got %d; want %d; seed %d", len(recs), len(want), seed)
		}
		for i, rec := range recs {
			data, ok := rec.Data, true
			if cfg.AppendNewline {
				data, ok = bytes.CutSuffix(data, []byte("\n"))
			}
			if !ok {
				t.Fatalf("unexpected end; got %q; want a newline", data)
			}
			if text, isText := want[i][0].([]byte); isText {
				if !bytes.Equal(data, text) {
					t.Fatalf("unexpected text of the log key; got %q; want %q; seed %d", data, text, seed)
				}
			} else if !equalTokens(readTokens(t, data), want[i]) {
				t.Fatalf("unexpected payload with %+v; got %s; want %v; seed %d", cfg, data, want[i], seed)
			}
		}
	}
}

// expected shapes an event by the documentation of Config. The result is one string
// if it is the text of a log key.
func expected(cfg Config, sec, nsec uint32, body, metadata, group *value) []any {
	o := tokenOptions{cfg.ReplaceDots}
	if cfg.LogKey != "" {
		for _, p := range slices.Backward(body.pairs) {
			if (p.key.class == classString || p.key.class == classBinary) && p.key.text == cfg.LogKey {
				if p.value.class == classString || p.value.class == classBinary {
					return []any{[]byte(p.value.text)}
				}
				return p.value.tokens(o)
			}
		}
	}
	meta := cfg.MetadataKey != "" && len(metadata.pairs) > 0
	grouped := cfg.GroupKey != "" && group != nil && len(group.pairs) > 0
	var out members
	for _, p := range body.pairs {
		if k := p.key.text; p.key.class == classString || p.key.class == classBinary {
			if len(cfg.DataKeys) > 0 && !slices.Contains(cfg.DataKeys, k) || cfg.TimeKey != "" && k == cfg.TimeKey || meta && k == cfg.MetadataKey || grouped && k == cfg.GroupKey {
				continue
			}
		} else if len(cfg.DataKeys) > 0 {
			continue
		}
		out.add(p.key.keyText(o), p.value.tokens(o)...)
	}
	if meta {
		out.add(o.key(cfg.MetadataKey), withIDs(metadata).tokens(o)...)
	}
	if grouped {
		out.add(o.key(cfg.GroupKey), withIDs(group).tokens(o)...)
	}
	if cfg.TimeKey != "" {
		out.add(o.key(cfg.TimeKey), fmt.Sprintf("%d.%09d", sec, nsec))
	}
	return out.tokens()
}

// withIDs is v with trace ids in hexadecimal.
func withIDs(v *value) *value {
	out := *v
	out.list, out.pairs = slices.Clone(v.list), slices.Clone(v.pairs)
	for i := range out.list {
		out.list[i] = *withIDs(&out.list[i])
	}
	for i := range out.pairs {
		p := &out.pairs[i]
		if c := p.value.class; p.key.text == "trace_id" && len(p.value.text) == 16 && (c == classString || c == classBinary) {
			p.value = value{class: classString, text: fmt.Sprintf("%x", p.value.text)}
			continue
		}
		p.value = *withIDs(&p.value)
	}
	return &out
}
