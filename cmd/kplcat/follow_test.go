// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// tap is a writer whose lines can be waited for.
type tap struct {
	mu    sync.Mutex // guards all
	buf   bytes.Buffer
	lines chan string
}

func newTap() *tap { return &tap{lines: make(chan string, 1000)} }

func (w *tap) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	for {
		l, err := w.buf.ReadString('\n')
		if err != nil {
			w.buf.WriteString(l)
			return len(p), nil
		}
		w.lines <- l
	}
}

// next returns lines until n have come.
func (w *tap) next(t *testing.T, n int) (out []string) {
	t.Helper()
	for range n {
		select {
		case l := <-w.lines:
			out = append(out, l)
		case <-time.After(20 * time.Second):
			t.Fatalf("no more lines after %q; want %d", out, n)
		}
	}
	return out
}

func TestFollowGoesThroughSplitAndMergeAndEndsWhenInterrupted(t *testing.T) {
	s := newServer(t, 2)
	ctx, interrupt := context.WithCancel(t.Context())
	out, errs := newTap(), new(bytes.Buffer)
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"--endpoint", s.URL(), "--follow", "--from", "trim-horizon", "--poll", "200ms", stream}, nil, out, errs)
	}()
	put(t, s, 0, "before", []byte("before"))
	out.next(t, 1)
	s.Fault(kinesistest.Fault{Operation: "GetRecords", Times: 2, Effect: kinesistest.Fail("ExpiredIteratorException", "Iterator expired.")})
	s.Fault(kinesistest.Fault{Operation: "GetRecords", Times: 2, Effect: kinesistest.Fail("ProvisionedThroughputExceededException", "Rate exceeded.")})
	if err := s.SplitEven(stream, "shardId-000000000000"); err != nil {
		t.Fatal(err)
	}
	put(t, s, 3, "split", []byte("split"))
	out.next(t, 1)
	if err := s.Merge(stream, "shardId-000000000003", "shardId-000000000001"); err != nil {
		t.Fatal(err)
	}
	put(t, s, 4, "merged", []byte("merged"))
	if l := out.next(t, 1); !strings.Contains(l[0], `"shard":"shardId-000000000004"`) || !strings.Contains(l[0], `"data":"merged"`) {
		t.Errorf("unexpected line; got %s", l[0])
	}
	interrupt()
	if c := <-code; c != exitOK {
		t.Errorf("unexpected exit code %d; want 0; stderr: %s", c, errs)
	}
	if !strings.HasSuffix(errs.String(), "kplcat: 3 user records in 3 Kinesis records of 3 shards, 0 aggregates\n") {
		t.Errorf("unexpected summary; got %q", errs)
	}
}

// gone is an output that nobody reads.
type gone struct{}

func (gone) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}
}

func TestBrokenPipeEndsQuietly(t *testing.T) {
	s := newServer(t, 1)
	put(t, s, 0, "k", []byte("x"))
	for _, args := range [][]string{{}, {"--follow", "--from", "trim-horizon"}, {"--stats"}, {"--help"}} {
		var errs bytes.Buffer
		if code := run(t.Context(), append(args, "--endpoint", s.URL(), stream), nil, gone{}, &errs); code != exitOK || errs.Len() > 0 {
			t.Errorf("unexpected end of %v; got code %d and %q; want 0 and nothing", args, code, errs.String())
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestFullDiskIsAnError(t *testing.T) {
	s := newServer(t, 1)
	put(t, s, 0, "k", []byte("x"))
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"--endpoint", s.URL(), stream}, nil, full{}, &errs); code != exitError || !strings.Contains(errs.String(), "no space") {
		t.Errorf("unexpected end; got code %d and %q; want 1 and the error", code, errs.String())
	}
}

// stuck is standard input that nobody writes to.
type stuck struct{ end chan struct{} }

func (s stuck) Read([]byte) (int, error) {
	<-s.end
	return 0, io.EOF
}

func TestInterruptDoesNotWaitForStandardInput(t *testing.T) {
	in := stuck{make(chan struct{})}
	defer close(in.end)
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(errors.New("interrupt"))
	var out, errs bytes.Buffer
	if code := run(ctx, []string{"-"}, in, &out, &errs); code != exitOK {
		t.Errorf("unexpected exit code %d; want 0; stderr: %s", code, errs.String())
	}
}
