// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"testing"
)

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestFilesThatOtherToolsHaveMade(t *testing.T) {
	for _, c := range []struct {
		name, suffix string
		make         func(*testing.T, []byte) []byte
	}{
		{"gzip", ".gz", gzipped},
		{"gzip under another name", "", gzipped},
		{"gzip, appended", ".gz", func(t *testing.T, b []byte) []byte {
			first, second, _ := bytes.Cut(b, []byte("\n"))
			return append(gzipped(t, append(first, '\n')), gzipped(t, second)...)
		}},
		{"byte order mark", "", func(_ *testing.T, b []byte) []byte { return append([]byte("\ufeff"), b...) }},
		{"both", ".gz", func(t *testing.T, b []byte) []byte { return gzipped(t, append([]byte("\ufeff"), b...)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := bench(t, "a")
			f := store(t, deadLetter("a", "invalid", secret+"1"), deadLetter("a", "invalid", secret+"2"))
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			b = c.make(t, b)
			if err := os.WriteFile(f+c.suffix, b, 0o600); err != nil {
				t.Fatal(err)
			}
			wantText(t, command(t, s, exitOK, "--list", f+c.suffix), "  2  ")
			wantText(t, commandIn(t, t.Context(), nil, string(b), exitOK, "--list", "-"), "  2  ")
			wantText(t, command(t, s, exitOK, f+c.suffix), "put 2 dead letters\n")
			wantText(t, command(t, s, exitOK, f+c.suffix), "put 0 dead letters\n")
			wantStored(t, s, "a", secret+"1", secret+"2")
		})
	}
	t.Run("what was done before gzip is not sent again", func(t *testing.T) {
		s := bench(t, "a")
		f := store(t, deadLetter("a", "invalid", secret+"1"))
		wantText(t, command(t, s, exitOK, f), "put 1 dead letter\n")
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f+".gz", gzipped(t, b), 0o600); err != nil {
			t.Fatal(err)
		}
		wantText(t, command(t, s, exitOK, f+".gz"), "put 0 dead letters\n", "1 dead letter was done before")
	})
	t.Run("gzip that is cut short is an error", func(t *testing.T) {
		s := bench(t, "a")
		f := store(t, deadLetter("a", "invalid", secret+"1"))
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b = gzipped(t, b)
		if err := os.WriteFile(f, b[:len(b)-9], 0o600); err != nil {
			t.Fatal(err)
		}
		wantText(t, command(t, s, exitRest, f), "cannot read dead letters of "+f)
	})
}
