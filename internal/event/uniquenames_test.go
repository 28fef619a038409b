// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// map32 packs a map of any size.
func map32(pairs ...[]byte) []byte {
	return cat(binary.BigEndian.AppendUint32([]byte{0xdf}, uint32(len(pairs)/2)), bytes.Join(pairs, nil))
}

// namesOnce returns the names of the outer object and fails on one that is there twice, at
// any depth.
func namesOnce(t *testing.T, text []byte) (outer []string) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var value func(depth int)
	value = func(depth int) {
		tok, err := d.Token()
		if err != nil {
			t.Fatalf("unexpected text; got %.200q: %v", text, err)
		}
		switch tok {
		case json.Delim('['):
			for d.More() {
				value(depth + 1)
			}
			_, _ = d.Token()
		case json.Delim('{'):
			seen := map[string]bool{}
			for d.More() {
				tok, _ := d.Token()
				name := tok.(string)
				if seen[name] {
					t.Fatalf("unexpected text; got the name %q twice in %.200q", name, text)
				}
				if seen[name] = true; depth == 0 {
					outer = append(outer, name)
				}
				value(depth + 1)
			}
			_, _ = d.Token()
		}
	}
	value(0)
	return outer
}

func TestEqualNamesAreRemovedThoughTheSameKeysWereSeenBefore(t *testing.T) {
	once := fixmap(str("a"), []byte{1}, str("b"), []byte{2})
	twice := fixmap(str("a"), []byte{1}, str("a"), []byte{2})
	for range 3 {
		for _, c := range []struct {
			in   []byte
			want string
		}{{once, `{"a":1,"b":2}`}, {twice, `{"a":2}`}} {
			if out, _, err := AppendJSON(nil, c.in); err != nil || string(out) != c.want {
				t.Fatalf("unexpected text; got %q, %v; want %q", out, err, c.want)
			}
		}
	}
}

// The outcome must not depend on what another Shaper has found about the same keys.
func TestEqualNamesByReplacedDots(t *testing.T) {
	body := fixmap(str("a.b"), []byte{1}, str("a_b"), []byte{2}, str("m"), fixmap(str("x-y"), []byte{3}, str("x.y"), []byte{4}))
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, `{"a.b":1,"a_b":2,"m":{"x-y":3,"x.y":4}}`},
		{Config{ReplaceDots: "_"}, `{"a_b":2,"m":{"x-y":3,"x_y":4}}`},
		{Config{ReplaceDots: "-"}, `{"a-b":1,"a_b":2,"m":{"x-y":4}}`},
		{Config{ReplaceDots: "_", DataKeys: []string{"a.b", "a_b"}}, `{"a_b":2}`},
		{Config{ReplaceDots: "_", TimeKey: "a.b", TimeKeyFormat: "%Y", DataKeys: []string{"a_b"}}, `{"a_b":"2023"}`},
		{Config{ReplaceDots: "_", MetadataKey: "a.b", DataKeys: []string{"a_b"}}, `{"a_b":{"x":1}}`},
		{Config{ReplaceDots: "_", MetadataKey: "a.b", TimeKey: "a_b", TimeKeyFormat: "%Y", DataKeys: []string{"m"}}, `{"m":{"x-y":3,"x_y":4},"a_b":"2023"}`},
		{Config{LogKey: "m", ReplaceDots: "-"}, `{"x-y":4}`},
	} {
		for range 2 {
			s := mustShaper(t, tt.cfg)
			var b Builder
			ev := Event{Sec: 1700000000, Body: body, Metadata: fixmap(str("x"), []byte{1})}
			if _, err := b.Add(s, "t", &ev); err != nil {
				t.Fatal(err)
			}
			if got := string(b.Records()[0].Data); got != tt.want {
				t.Errorf("unexpected payload with %+v; got %s; want %s", tt.cfg, got, tt.want)
			}
		}
	}
}

func TestEqualNamesOfLargeAndDeepMaps(t *testing.T) {
	const n = 100_000
	var pairs [][]byte
	for i := range n {
		pairs = append(pairs, str(fmt.Sprint("key", i%(n/2))), []byte{byte(i / (n / 2))})
	}
	out, _, err := AppendJSON(nil, map32(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	if got := namesOnce(t, out); len(got) != n/2 || bytes.Contains(out, []byte(":0")) {
		t.Errorf("unexpected object; got %d names; want %d, all with the second value", len(got), n/2)
	}
	// Each level is wrong: were each rewritten for the one around it, this would
	// take 2^60 steps.
	v := []byte{0x80}
	for range MaxDepth - 4 {
		v = fixmap(str("a"), []byte{1}, str("a"), v)
	}
	if out, _, err = AppendJSON(nil, v); err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat(`{"a":`, MaxDepth-4); !bytes.HasPrefix(out, []byte(want+"{}")) {
		t.Errorf("unexpected text; got %.100q; want %.100q", out, want)
	}
}

func TestAppendMembers(t *testing.T) {
	for _, tt := range []struct {
		written string
		value   []byte
		want    string
	}{
		{`{`, fixmap(), `{}`},
		{`{`, fixmap(str("a"), []byte{1}), `{"a":1}`},
		{`{"time":1.5`, fixmap(), `{"time":1.5}`},
		{`{"time":1.5`, fixmap(str("a"), []byte{1}), `{"time":1.5,"a":1}`},
		{`{"time":1.5`, fixmap(str("time"), []byte{1}), `{"time":1}`},
		{`{"time":1.5`, fixmap(str("a"), []byte{1}, str("time"), []byte{2}), `{"a":1,"time":2}`},
		{`{"x":{"a":[1,"}"]},"y":null`, fixmap(str("y"), []byte{1}, str("z"), []byte{2}, str("x"), []byte{3}), `{"y":1,"z":2,"x":3}`},
	} {
		out, rest, err := AppendMembers([]byte("before "+tt.written), 7, cat(tt.value, []byte{9}))
		if err != nil || string(out) != "before "+tt.want || len(rest) != 1 {
			t.Errorf("unexpected result for %s; got %q, %d bytes left, %v; want %q and 1", tt.written, out, len(rest), err, tt.want)
		}
	}
	for _, bad := range [][]byte{nil, {0x01}, str("a"), {0x81, 0xa1}} {
		if out, _, err := AppendMembers([]byte(`{"a":1`), 0, bad); err == nil || string(out) != `{"a":1` {
			t.Errorf("unexpected result for % x; got %q, %v; want an error and no change", bad, out, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, names := range [][]string{{}, {"a"}, {"a", "b"}, {"a", "b", "a"}, {"a", "a", "a"}} {
		var n Names
		dst := []byte("x{")
		for i, name := range names {
			if i > 0 {
				dst = append(dst, ',')
			}
			n.Add([]byte(name))
			dst = fmt.Appendf(dst, "%q:%d", name, i)
		}
		dst = n.End(append(dst, '}'), 1)
		var want, got map[string]int
		if err := json.Unmarshal(dst[1:], &got); err != nil {
			t.Fatalf("unexpected text; got %q: %v", dst, err)
		}
		want = map[string]int{}
		for i, name := range names {
			want[name] = i
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || len(namesOnce(t, dst[1:])) != len(want) {
			t.Errorf("unexpected object for %q; got %q; want %v", names, dst, want)
		}
	}
}

// The bracket of an object is written last, in the place of a comma; what the caller has is
// not to show that.
func TestMembersAreAddedToAnObjectThatIsLeftAsItIsOnAnError(t *testing.T) {
	bad := []byte{0x82, 0xa1, 'a', 0x01, 0xa1, 'b', 0xc1} // the second value is none
	for _, begun := range []string{`x{`, `x{"a":2`} {
		dst := append(make([]byte, 0, 100), begun...)
		if out, rest, err := AppendMembers(dst, 1, bad); err == nil || string(out) != begun || string(dst) != begun || len(rest) != len(bad) {
			t.Errorf("unexpected result for %q; got %q, %q, %v; want what it was and an error", begun, out, dst, err)
		}
	}
	for begun, want := range map[string]string{`x{`: `x{"a":1}`, `x{"a":2`: `x{"a":1}`, `x{"b":2`: `x{"b":2,"a":1}`} {
		for _, room := range []int{0, 100} {
			dst := append(make([]byte, 0, len(begun)+room), begun...)
			if out, _, err := AppendMembers(dst, 1, []byte{0x81, 0xa1, 'a', 0x01}); err != nil || string(out) != want {
				t.Errorf("unexpected object; got %q, %v; want %q", out, err, want)
			}
		}
	}
	if out, _, err := AppendMembers([]byte("{"), 0, []byte{0x80}); err != nil || string(out) != "{}" {
		t.Errorf("unexpected object; got %q, %v; want {}", out, err)
	}
}
