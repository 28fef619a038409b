// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRead(t *testing.T) {
	const a, b = `{"reason":"invalid","data":"YQ=="}`, `{"data":"Yg=="}`
	const secret = "c2VjcmV0"
	for _, c := range []struct {
		name, in string
		want     []string
		lines    []int
	}{
		{"empty file", "", nil, nil},
		{"two dead letters", a + "\n" + b + "\n", []string{"a", "b"}, nil},
		{"the last line needs no end", a + "\n" + b, []string{"a", "b"}, nil},
		{"line ends of Windows and empty lines", "\n" + a + "\r\n\r\n  \n" + b + "\r\n", []string{"a", "b"}, nil},
		{"a broken line is named and passed over", a + "\n{\"data\":\"" + secret + "\n\n" + b + "\n", []string{"a", "b"}, []int{2}},
		{
			"every kind of broken line", strings.Join([]string{`x`, `[]`, `{}`, `{"data":null}`, `{"data":"` + secret + `!"}`, `{"time":"` + secret + `","data":""}`, `{"data":"YQ=="}{}`, b}, "\n"),
			[]string{"b"},
			[]int{1, 2, 3, 4, 5, 6, 7},
		},
		{"times that are out of range in UTC", `{"data":"","time":"9999-12-31T23:59:59-10:00"}` + "\n" + `{"data":"","attempts":[{"start":"0000-01-01T00:00:00+10:00"}]}`, nil, []int{1, 2}},
		{"a torn last line", a + "\n" + `{"data":"` + secret, []string{"a"}, []int{2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
				var got []string
				var lines []int
				for l, err := range Read(r) {
					var broken *LineError
					switch {
					case errors.As(err, &broken):
						lines = append(lines, broken.Line)
						if strings.Contains(err.Error(), secret[:4]) {
							t.Errorf("unexpected content in error %q", err)
						}
					case err != nil:
						t.Errorf("unexpected error; got %v; want none", err)
					default:
						got = append(got, string(l.Data))
					}
				}
				if !reflect.DeepEqual(got, c.want) || !reflect.DeepEqual(lines, c.lines) {
					t.Errorf("unexpected dead letters; got %q, broken lines %v; want %q, %v", got, lines, c.want, c.lines)
				}
			}
		})
	}
	t.Run("an error of the reader is the last", func(t *testing.T) {
		boom := errors.New("boom")
		var errs []error
		for _, err := range Read(io.MultiReader(strings.NewReader(a+"\n"+a), iotest.ErrReader(boom))) {
			errs = append(errs, err)
		}
		if len(errs) != 2 || errs[0] != nil || !errors.Is(errs[1], boom) {
			t.Errorf("unexpected errors; got %v; want none and %v", errs, boom)
		}
	})
	t.Run("the reading may end early", func(t *testing.T) {
		for _, err := range Read(strings.NewReader("rubbish\n" + b)) {
			if err == nil {
				t.Error("unexpected dead letter; want the broken line first")
			}
			break
		}
	})
	t.Run("a line that is too long is named and passed over, and needs no memory", func(t *testing.T) {
		r := NewReader(strings.NewReader(a + "\n" + long(300000) + "\n" + b + "\n" + long(100)))
		r.limit = 50
		for _, want := range []string{"a", "!", "b", "!"} {
			l, err := r.Next()
			var broken *LineError
			if got := string(l.Data); err == nil && got != want || err != nil && (want != "!" || !errors.As(err, &broken)) {
				t.Errorf("unexpected dead letter; got %q, %v; want %q", got, err, want)
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) || cap(r.buf) > 1000 {
			t.Errorf("unexpected end; got %v, a buffer of %d bytes; want EOF and a small one", err, cap(r.buf))
		}
		if r.line != 5 { // behind the last line
			t.Errorf("unexpected line; got %d; want 5", r.line)
		}
	})
}

func FuzzRead(f *testing.F) {
	var buf bytes.Buffer
	l := entry("data")
	if err := appendLine(&buf, &l); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Add([]byte(`{"data":"","time":"9999-12-31T23:59:59-10:00","attempts":[{"start":"0000-01-01T00:00:00+10:00"}]}`))
	f.Add([]byte(`{"data":"","attempts":[{"start":"0000-01-01T00:00:00+10:00"}]}`))
	f.Add([]byte("{\"data\":\"YQ==\",\"partition_key_base64\":\"/w==\",\"attempts\":[{\"duration_ms\":1e300}]}\n\nx\n{}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		n := 0
		for l, err := range Read(bytes.NewReader(in)) {
			n++
			if err != nil {
				continue
			}
			// What was read can be written, and then reads the same.
			var once, twice bytes.Buffer
			if err := appendLine(&once, &l); err != nil {
				t.Fatalf("unexpected error; got %v; want none", err)
			}
			again, err := parseLine(once.Bytes())
			if err != nil {
				t.Fatalf("unexpected error; got %v; want none", err)
			}
			if !bytes.Equal(again.Data, l.Data) || again.PartitionKey != l.PartitionKey || again.Stream != l.Stream || !again.Time.Equal(l.Time) {
				t.Errorf("unexpected dead letter; got %+v; want %+v", again, l)
			}
			if err := appendLine(&twice, &again); err != nil {
				t.Fatalf("unexpected error; got %v; want none", err)
			}
		}
		if lines := bytes.Count(in, []byte("\n")) + 1; n > lines {
			t.Errorf("unexpected number of dead letters and errors; got %d; want at most %d", n, lines)
		}
	})
}
