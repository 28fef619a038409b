// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestVerifyTellsWhichEventsAreThereHowOften(t *testing.T) {
	s := newServer(t, 2)
	combinedLines := "{\"n\":1}\n{\"n\":2}\n\"two\\nlines\"\n"
	put(t, s, 0, "k", aggregate(t, ur{"x", "0", string(pack(t, "zstd", combinedLines))}, ur{"y", "1", `[{"n":3},"text",{"n":3}]`}))
	put(t, s, 1, "z", []byte("plain text\r\n"))
	put(t, s, 1, "z", []byte("\"quoted\""))
	put(t, s, 1, "z", []byte(`[1,2]`))
	put(t, s, 1, "z", []byte("another"))
	given := "\xef\xbb\xbf" + `{"n":1}
{"n":2}
{"n":2}

"two\nlines"
{"n":3}
text` + "\r" + `
plain text
quoted
[1,2]
not there
{"n": 1}`
	file := write(t, "events", given)
	r := of(t, s, "--verify", file)
	want := `line 2: missing: given 2, in the stream 1
line 6: more: given 1, in the stream 2
line 11: missing: given 1, in the stream 0
line 12: missing: given 1, in the stream 0
11 events given, 10 different: 6 as often as given, 3 missing (by 3), 1 more (by 1); 1 in the stream not given
`
	if r.code != exitError || r.stdout != want {
		t.Errorf("unexpected result %d; got\n%s%s; want 1 and\n%s", r.code, r.stdout, r.stderr, want)
	}
	if !strings.Contains(r.stderr, "10 events in 6 user records") || strings.Contains(r.stderr, "shown") {
		t.Errorf("unexpected summary; got %s", r.stderr)
	}

	r = kplcat(t, given, "--endpoint", s.URL(), stream, "--json", "--verify", "-")
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	var got givenCounts
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		t.Fatal(err)
	}
	if w := (givenCounts{Given: 11, Different: 10, AsGiven: 6, Missing: 3, More: 1, MissingCopies: 3, MoreCopies: 1, NotGiven: 1}); r.code != exitError || got != w || lines[1] != `{"line":6,"what":"more","given":1,"found":2}` {
		t.Errorf("unexpected result %d; got %s; want 1 and %+v", r.code, r.stdout, w)
	}
}

func TestVerifySucceedsIfAllIsThereAsOftenAsGiven(t *testing.T) {
	s := newServer(t, 2)
	writeTwice(t, s, 300, 1)
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, "{\"n\":%d}\n", i)
	}
	file := write(t, "events", b.String())
	if r := of(t, s, "--verify", file, "--dedupe").ok(t); r.stdout != "300 events given, 300 different: 300 as often as given, 0 missing (by 0), 0 more (by 0); 0 in the stream not given\n" {
		t.Errorf("unexpected output; got %s", r.stdout)
	}
	if r := of(t, s, "--verify", file); r.code != exitError || !strings.Contains(r.stdout, ": more: given 1, in the stream 2\n") || !strings.Contains(r.stdout, " 0 missing (by 0), ") {
		t.Errorf("unexpected result with doubled events: %d\n%.300s", r.code, r.stdout)
	}
	if r := of(t, s, "--verify", file, "--dedupe", "--key", "key-7"); r.code != exitError || !strings.Contains(r.stdout, " 1 as often as given, 299 missing") {
		t.Errorf("unexpected result of a filter: %d\n%s", r.code, r.stdout[max(0, len(r.stdout)-200):])
	}
	if r := kplcat(t, fmt.Sprintf("%x\n", `{"n":1}`), "--verify", write(t, "one", `{"n":1}`), "-").ok(t); !strings.HasPrefix(r.stdout, "1 event given, 1 different: 1 as often") {
		t.Errorf("unexpected result of a file: %s", r.stdout)
	}
}

func TestVerifySaysNothingIfNotEverythingWasRead(t *testing.T) {
	s := newServer(t, 1)
	put(t, s, 0, "k", []byte("here"))
	s.Fault(kinesistest.Fault{Operation: "GetRecords", Skip: 1, Effect: kinesistest.Fail("AccessDeniedException", "not authorized")})
	r := of(t, s, "--verify", write(t, "events", "here\nmissing\n"))
	if r.code != exitError || r.stdout != "" || !strings.Contains(r.stderr, "AccessDenied") || !strings.Contains(r.stderr, "kplcat: --verify: not everything was read, so it is not known what is missing") {
		t.Errorf("unexpected result; got %+v", r)
	}
}

func TestVerifyRefusesFilesThatItCannotCheck(t *testing.T) {
	s := newServer(t, 1)
	dir := t.TempDir()
	for name, c := range map[string]struct{ file, want string }{
		"none":           {filepath.Join(dir, "none"), "--verify: cannot read events: open"},
		"a folder":       {dir, "is a directory"},
		"empty":          {write(t, "events", ""), "no line has an event"},
		"blank":          {write(t, "events", "\n \r\n\t\n"), "no line has an event"},
		"UTF-16":         {write(t, "events", "\xff\xfea\x00\n\x00"), "it is UTF-16; allowed: lines of UTF-8"},
		"too long":       {write(t, "events", "a\n"+strings.Repeat("x", maxGivenLine+3)), "line 2 is longer than 16 MiB"},
		"too long twice": {write(t, "events", strings.Repeat("x", 2*maxGivenLine)+"\n"), "line 1 is longer than 16 MiB"},
	} {
		if r := of(t, s, "--verify", c.file); r.code != exitError || r.stdout != "" || !strings.Contains(r.stderr, c.want) {
			t.Errorf("unexpected result of %s; got %.300q; want %q", name, r.stderr, c.want)
		}
	}
	if n := s.Calls("ListShards"); n != 0 {
		t.Errorf("unexpected calls; got %d of ListShards; want none before the file is known to be good", n)
	}
	long := strings.Repeat("x", maxGivenLine)
	if _, err := readGiven(t.Context(), "-", strings.NewReader(long+"\r\n"+long+"\n")); err != nil {
		t.Errorf("unexpected error for the longest lines; got %v", err)
	}
}

func TestVerifyTakesTheMemoryItSays(t *testing.T) {
	const n = 500_000
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "{\"message\":\"an event of the usual length, more or less\",\"n\":%d}\n", i)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	g, err := readGiven(t.Context(), "-", &b)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := float64(int64(after.HeapAlloc)-int64(before.HeapAlloc)) / n; each > 100 || len(g.events) != n {
		t.Errorf("unexpected memory; got %.0f bytes a line; want at most 100", each)
	} else {
		t.Logf("%.0f bytes a line", each)
	}
	runtime.KeepAlive(g)
	runtime.KeepAlive(&b)
}

// Shippers make JSON objects of lines of text.
func TestVerifyComparesAField(t *testing.T) {
	s := newServer(t, 1)
	for _, e := range []string{`{"log":"one","a":1}`, `{"log":"two\n"}`, `{"log":{"n":1}}`, `{"msg":"other"}`} {
		put(t, s, 0, "k", []byte(e))
	}
	file := write(t, "events", "one\ntwo\n")
	hint := "kplcat: the stream holds JSON objects, the file none: --verify-field log compares the value of their key log\n"
	if r := of(t, s, "--verify", file); r.code != exitError || !strings.HasSuffix(r.stderr, hint) || strings.Contains(r.stdout, "hint") {
		t.Errorf("unexpected result without the flag; got %+v; want the hint", r)
	}
	r := of(t, s, "--verify", file, "--verify-field", "log").ok(t)
	if want := "2 events given, 2 different: 2 as often as given, 0 missing (by 0), 0 more (by 0); 2 in the stream not given\n"; r.stdout != want || strings.Contains(r.stderr, "hold") {
		t.Errorf("unexpected result; got %+v; want %s", r, want)
	}
	of(t, s, "--verify", write(t, "more", "one\ntwo\n{\"n\":1}\n{\"msg\":\"other\"}\n"), "--verify-field=log").ok(t)
	if r := of(t, s, "--verify", file, "--verify-field", "nosuch"); r.code != exitError || !strings.Contains(r.stderr, `without the key "nosuch" of --verify-field`) {
		t.Errorf("unexpected result with another key; got %+v", r)
	}
	if r := of(t, s, "--verify", write(t, "objects", `{"log":"one"}`)); r.code != exitError || strings.Contains(r.stderr, "--verify-field") {
		t.Errorf("unexpected hint; got %+v; want none where objects are given", r)
	}
}
