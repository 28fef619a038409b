// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outkpl/outkpl/core"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirEnv); dir != "" {
		os.Exit(crashChild(dir))
	}
	goleak.VerifyTestMain(m)
}

func entry(data string) Entry {
	return Entry{
		Time: time.Date(2026, 11, 24, 10, 30, 0, 123456789, time.UTC), Stream: "logs",
		PartitionKey: "key", Reason: "too_large", Data: []byte(data),
	}
}

// path is a file in a directory of the test's own.
func path(t *testing.T) string { t.Helper(); return filepath.Join(t.TempDir(), "dead.ndjson") }

func open(t *testing.T, c FileConfig) *File {
	t.Helper()
	return openWith(t, c, openHandle)
}

func openWith(t *testing.T, c FileConfig, handles func(string) (handle, error)) *File {
	t.Helper()
	f, err := openFile(c, handles)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeFile(t, f) })
	return f
}

func closeFile(t *testing.T, f *File) {
	t.Helper()
	if err := f.Close(t.Context()); err != nil && t.Context().Err() == nil {
		t.Errorf("unexpected error of Close; got %v; want none", err)
	}
	<-f.done
}

func write(t *testing.T, f *File, data ...string) {
	t.Helper()
	var entries []Entry
	for _, d := range data {
		entries = append(entries, entry(d))
	}
	if err := f.Write(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("unexpected error; got %v; want %v", got, want)
	}
}

// dataOf reads the data of all dead letters of a file; broken lines become "!".
func dataOf(t *testing.T, path string) (out []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for l, err := range Read(f) {
		if err != nil {
			out = append(out, "!")
			continue
		}
		out = append(out, string(l.Data))
	}
	return out
}

func wantData(t *testing.T, path string, want ...string) {
	t.Helper()
	if got := dataOf(t, path); !reflect.DeepEqual(got, want) {
		t.Errorf("unexpected dead letters in %s; got %.200q; want %.200q", filepath.Base(path), got, want)
	}
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("unexpected files; got %q; want %q", got, want)
	}
}

// outcomes is a settled batch.
type outcomes map[int]*core.RecordError

func (o outcomes) Failures(yield func(int, *core.RecordError) bool) {
	for i := range 10000 {
		if err := o[i]; err != nil && !yield(i, err) {
			return
		}
	}
}

func (o outcomes) Result(i int) core.Result {
	at := time.Date(2026, 11, 24, 10, 0, i, 0, time.UTC)
	r := core.Result{Settled: true, Err: o[i]}
	for n := range i {
		r.Attempts = append(r.Attempts, core.Attempt{Start: at, End: at.Add(1500 * time.Microsecond), Code: fmt.Sprint("code ", n)})
	}
	return r
}

func long(n int) string { return strings.Repeat("x", n) }
