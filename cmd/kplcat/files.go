// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/plural"
)

const (
	// maxBlob bounds a blob of a file; a Kinesis record is 10 MiB at most.
	maxBlob = 64 << 20
	// maxLine bounds a line of base64 or hex.
	maxLine = 2*maxBlob + 16
	// maxDocument bounds a JSON document: a get-records page is about 14 MiB.
	maxDocument = 256 << 20
	// peekBytes is how much of a file its form is told by.
	peekBytes = 4096
)

// catFiles shows blobs from files. What cannot be read is reported, and the rest is
// shown.
func catFiles(ctx context.Context, o *options, v *view, stdin io.Reader, warn *warner) error {
	var errs []error
	for _, name := range o.files {
		err := catFile(ctx, name, o.input, v, stdin, warn)
		if errors.Is(err, errLimit) || ctx.Err() != nil || brokenPipe(err) {
			return err
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func catFile(ctx context.Context, name, form string, v *view, stdin io.Reader, warn *warner) error {
	// A read of standard input may last for ever.
	var in io.Reader = ctxReader{ctx, stdin}
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("cannot read blobs: %w", err)
		}
		defer f.Close() // nothing was written
		in = f
	} else {
		name = "stdin"
	}
	r := bufio.NewReaderSize(in, 64<<10)
	head := peek(r)
	if len(head) == 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		return fmt.Errorf("cannot read blobs from %s: it is empty", name)
	}
	if form == "auto" {
		form = detect(head)
	}
	if form != "raw" && bytes.HasPrefix(head, utf8BOM) {
		_, _ = r.Discard(len(utf8BOM)) // of text it is no part; it was peeked at
	}
	f := &blobFile{name: name, v: v, in: r, warn: warn}
	switch form {
	case "json":
		return f.documents()
	case "raw":
		return f.whole()
	}
	return f.lines(form)
}

// ctxReader fails once ctx has ended. A read that is under way is waited for no
// longer; its goroutine ends with the read, or with the process.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c ctxReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, c.ctx.Err()
	}
	type result struct {
		n   int
		err error
	}
	buf := make([]byte, len(p)) // its own: the caller may have gone when it is filled
	got := make(chan result, 1)
	go func() {
		n, err := c.r.Read(buf)
		got <- result{n, err}
	}()
	select {
	case g := <-got:
		copy(p, buf[:g.n])
		return g.n, g.err
	case <-c.ctx.Done():
		return 0, c.ctx.Err()
	}
}

// peek returns the beginning of a file without waiting for more than its first line.
func peek(r *bufio.Reader) []byte {
	for n := 1; ; n = r.Buffered() + 1 {
		_, err := r.Peek(min(n, peekBytes))
		b, _ := r.Peek(min(r.Buffered(), peekBytes))
		if err != nil || len(b) == peekBytes || bytes.IndexByte(bytes.TrimLeft(b, "\r\n"), '\n') >= 0 {
			return b
		}
	}
}

// utf8BOM begins text files of Windows.
var utf8BOM = []byte("\xef\xbb\xbf")

// base64Magic is how an aggregate begins in base64. It is no hex.
const base64Magic = "84mawg"

// detect tells the form of a file by its beginning.
func detect(head []byte) string {
	if bytes.HasPrefix(head, aggregateMagic) {
		return "raw"
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, utf8BOM), " \t\r\n")
	if len(text) > 0 && (text[0] == '{' || text[0] == '[') {
		return "json"
	}
	line, _, whole := bytes.Cut(text, []byte("\n"))
	s := strings.TrimSpace(string(line))
	whole = whole || len(head) < peekBytes
	switch {
	case s == "":
	case strings.HasPrefix(s, base64Magic):
		return "base64"
	case decodable("hex", s, whole):
		return "hex"
	case decodable("base64", s, whole):
		return "base64"
	}
	return "raw"
}

// decodable reports whether a line, or its beginning, is hex or base64.
func decodable(form, s string, whole bool) bool {
	if !whole {
		s = s[:len(s)&^7]
	}
	_, err := decodeLine(form, s)
	return err == nil
}

// decodeLine decodes hex (with or without 0x or \x before it) or base64 (both
// alphabets, with or without padding).
func decodeLine(form, s string) ([]byte, error) {
	if form == "hex" {
		s = strings.TrimPrefix(strings.TrimPrefix(s, "0x"), `\x`)
		return hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	}
	s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "=")
	return base64.RawStdEncoding.DecodeString(s)
}

// blobFile shows one file.
type blobFile struct {
	name string
	v    *view
	in   *bufio.Reader
	warn *warner
	bad  int
}

// whole takes the file as one blob.
func (f *blobFile) whole() error {
	b, err := io.ReadAll(io.LimitReader(f.in, maxBlob+1))
	if err != nil {
		return fmt.Errorf("cannot read blob from %s: %w", f.name, err)
	}
	if len(b) > maxBlob {
		return fmt.Errorf("cannot read blob from %s: it is larger than %d MiB", f.name, maxBlob>>20)
	}
	return f.v.add(record{source: f.name, data: b})
}

// wrapAt are the widths at which base64 (coreutils, PEM) and xxd -p break lines.
var wrapAt = map[string][]int{"base64": {76, 64}, "hex": {60}}

// wrapped collects the lines of an aggregate that may have been broken into several.
type wrapped struct {
	form  string
	first int // line number
	size  int
	lines []string
}

// begins tells whether a line may be the first of several: it has one of the widths, and
// what is in it is an aggregate without its end.
func (w *wrapped) begins(line string, data []byte) bool {
	return slices.Contains(wrapAt[w.form], len(line)) && bytes.HasPrefix(data, aggregateMagic) && !aggregation.IsAggregated(data)
}

// goesOn tells whether a line may belong to those before it.
func (w *wrapped) goesOn(line string, data []byte) bool {
	return len(w.lines) > 0 && line != "" && len(line) <= len(w.lines[0]) && w.size+len(line) <= maxLine && !bytes.HasPrefix(data, aggregateMagic)
}

func (w *wrapped) add(line string) {
	w.lines = append(w.lines, line)
	w.size += len(line)
}

// ended tells whether no further line can follow.
func (w *wrapped) ended() bool {
	last := w.lines[len(w.lines)-1]
	return len(last) < len(w.lines[0]) || strings.HasSuffix(last, "=")
}

// lines takes each line as a blob, or several of them if an aggregate was broken into lines.
func (f *blobFile) lines(form string) error {
	s := bufio.NewScanner(f.in)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	w := wrapped{form: form}
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		b, err := decodeLine(form, line)
		if w.goesOn(line, b) {
			if w.add(line); !w.ended() {
				continue
			}
			line = ""
		}
		if err := f.finish(&w); err != nil {
			return err
		}
		switch {
		case line == "":
		case err == nil && w.begins(line, b):
			w.first = n
			w.add(line)
			continue // even if nothing more comes for now
		default:
			if err := f.line(form, n, line); err != nil {
				return err
			}
		}
		if f.in.Buffered() == 0 { // nothing more for now
			if err := f.v.flush(); err != nil {
				return err
			}
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("cannot read lines from %s: %w", f.name, err)
	}
	if err := f.finish(&w); err != nil {
		return err
	}
	return f.end()
}

// finish takes what was collected: one aggregate, or else each line by itself.
func (f *blobFile) finish(w *wrapped) error {
	lines := w.lines
	w.lines, w.size = nil, 0
	if len(lines) > 1 {
		if b, err := decodeLine(w.form, strings.Join(lines, "")); err == nil && aggregation.IsAggregated(b) {
			return f.v.add(record{source: fmt.Sprintf("%s:%d", f.name, w.first), data: b})
		}
	}
	for i, line := range lines {
		if err := f.line(w.form, w.first+i, line); err != nil {
			return err
		}
	}
	return nil
}

// line takes line n as a blob.
func (f *blobFile) line(form string, n int, line string) error {
	b, err := decodeLine(form, line)
	if err != nil {
		// The error of package hex and base64 quotes bytes of the line.
		f.skip("line %d is not %s", n, form)
		return nil
	}
	return f.v.add(record{source: fmt.Sprintf("%s:%d", f.name, n), data: b})
}

func (f *blobFile) skip(format string, args ...any) {
	f.bad++
	f.warn.warn(f.name + ": " + fmt.Sprintf(format, args...))
}

func (f *blobFile) end() error {
	if f.bad > 0 {
		return fmt.Errorf("cannot read all of %s: %s left out", f.name, plural.Count(f.bad, "blob"))
	}
	return nil
}
