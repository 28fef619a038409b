// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/internal/filelock"
	"github.com/outkpl/outkpl/internal/plural"
)

const stdinName = "-"

// counts says what became of the dead letters that were read.
type counts struct {
	read       int // dead letters
	broken     int // lines that are no dead letter
	filtered   int // dead letters left out by the filters
	noRecord   int // selected, but they hold no record and are not named
	doneBefore int
	unsure     int // put by a run that ended before it knew the outcome
	put        int
	moved      int            // refused again, and kept in the file of --failed
	refused    int            // refused again
	noStream   int            // it is not known where to put it
	unsplit    int            // its record is not what it says
	causes     map[string]int // of refused and moved, at most maxCauses
}

// maxCauses bounds the causes that are told apart, the last of which stands for all others.
const maxCauses = 6

// refuse counts a dead letter that is refused again, by its cause.
func (c *counts) refuse(err *core.RecordError) {
	if c.causes == nil {
		c.causes = map[string]int{}
	}
	cause := err.Reason.String() + ": " + err.Detail
	if c.causes[cause] == 0 && len(c.causes) >= maxCauses-1 {
		cause = "other causes"
	}
	c.causes[cause]++
}

// complete tells whether everything selected is where it should be.
func (c *counts) complete() bool {
	return c.broken == 0 && c.moved == 0 && c.refused == 0 && c.noStream == 0 && c.unsplit == 0
}

// openInput opens a file to be read. What is compressed with gzip is unpacked, whatever
// its name is, and a byte order mark is skipped.
func openInput(name string, stdin io.Reader) (io.ReadCloser, error) {
	in := io.NopCloser(stdin)
	if name != stdinName {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("cannot read dead letters: %w", err)
		}
		in = f
	}
	r := bufio.NewReaderSize(in, 64<<10)
	if head, _ := r.Peek(2); string(head) == "\x1f\x8b" {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cannot read dead letters of %s: %w", name, err), in.Close())
		}
		r = bufio.NewReaderSize(z, 64<<10)
	}
	if head, _ := r.Peek(3); string(head) == "\ufeff" {
		_, _ = r.Discard(3) // they were there
	}
	return readCloser{r, in}, nil
}

// plainName is the name of a file before gzip gave it another one. Progress is kept under
// it, so that what was done before is not sent again.
func plainName(name string) string { return strings.TrimSuffix(name, ".gz") }

// readCloser reads what was unpacked of what it closes.
type readCloser struct {
	io.Reader
	io.Closer
}

// lockInput keeps a process from writing to the file while it is replayed: it
// would give the file and its progress other names. It does nothing for a file
// that never was written to under this name.
func lockInput(name string) (unlock func() error, err error) {
	f, err := os.OpenFile(plainName(name)+deadletter.LockSuffix, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", name, err)
	}
	err = filelock.TryLock(f)
	if errors.Is(err, filelock.ErrLocked) {
		err = fmt.Errorf("cannot replay %s while a process writes to it: replay its full predecessors, or stop the process", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

// eachSelected calls do for each selected dead letter of r until it fails, and counts the
// others. raw is the dead letter's line, valid until do returns.
func eachSelected(ctx context.Context, r io.Reader, name string, o *options, c *counts, stderr io.Writer, do func(l deadletter.Entry, raw []byte) error) error {
	in := deadletter.NewReader(r)
	for ctx.Err() == nil {
		l, err := in.Next()
		var broken *deadletter.LineError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &broken):
			if c.broken++; c.broken <= 10 {
				fmt.Fprintf(stderr, "kpl-replay: %s: %v\n", name, err)
			}
			continue
		case err != nil:
			return fmt.Errorf("cannot read dead letters of %s: %w", name, err)
		}
		c.read++
		if !o.filter.match(&l) {
			c.filtered++
			continue
		}
		if l.Reason == deadletter.ReasonBroken && !o.putsBroken() {
			c.noRecord++
			continue
		}
		if err := do(l, in.Raw()); err != nil {
			return err
		}
	}
	return fmt.Errorf("stopped: %w", context.Cause(ctx))
}

// group is a line of a table.
type group struct {
	stream, reason, to string
	count, done        int
	bytes              int64
	first, last        time.Time
}

// survey groups the dead letters of all files that are selected.
func survey(ctx context.Context, o *options, stdin io.Reader, stderr io.Writer, key func(*deadletter.Entry) group) ([]*group, counts, error) {
	var c counts
	groups := map[group]*group{}
	for _, name := range o.files {
		p := &progress{}
		if name != stdinName {
			var err error
			if p, err = loadProgress(name); err != nil {
				return nil, c, err
			}
		}
		in, err := openInput(name, stdin)
		if err != nil {
			return nil, c, err
		}
		err = eachSelected(ctx, in, name, o, &c, stderr, func(l deadletter.Entry, raw []byte) error {
			k := key(&l)
			g := groups[k]
			if g == nil {
				g = &group{stream: k.stream, reason: k.reason, to: k.to}
				groups[k] = g
			}
			g.count++
			if p.take(idOf(raw)) {
				g.done++
			}
			g.bytes += int64(len(l.Data))
			if g.first.IsZero() || l.Time.Before(g.first) {
				g.first = l.Time
			}
			if l.Time.After(g.last) {
				g.last = l.Time
			}
			return nil
		})
		if err := errors.Join(err, in.Close()); err != nil {
			return nil, c, err
		}
	}
	var sorted []*group
	for _, g := range groups {
		sorted = append(sorted, g)
	}
	slices.SortFunc(sorted, func(a, b *group) int {
		return strings.Compare(a.stream+"\x00"+a.to+"\x00"+a.reason, b.stream+"\x00"+b.to+"\x00"+b.reason)
	})
	return sorted, c, nil
}

// list prints how many dead letters there are.
func list(ctx context.Context, o *options, stdin io.Reader, stdout, stderr io.Writer) (bool, error) {
	groups, c, err := survey(ctx, o, stdin, stderr, func(l *deadletter.Entry) group {
		return group{stream: l.Stream, reason: l.Reason}
	})
	if err != nil {
		return false, err
	}
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "STREAM\tREASON\tRECORDS\tDONE\tBYTES\tFIRST\tLAST")
	for _, g := range groups {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\t%s\n", orDash(g.stream), orDash(g.reason), g.count, g.done, g.bytes, stamp(g.first), stamp(g.last))
	}
	if err := w.Flush(); err != nil {
		return false, err
	}
	return c.broken == 0, errors.Join(tellLeftOut(stdout, &c), tellBroken(stdout, &c))
}

// dryRun prints what would be put where.
func dryRun(ctx context.Context, o *options, stdin io.Reader, stdout, stderr io.Writer) (bool, error) {
	groups, c, err := survey(ctx, o, stdin, stderr, func(l *deadletter.Entry) group {
		return group{stream: l.Stream, to: o.target(l)}
	})
	if err != nil {
		return false, err
	}
	for _, g := range groups {
		if g.to == "" {
			c.noStream += g.count
			_, err = fmt.Fprintf(stdout, "cannot put %s without a stream; use --to\n", plural.Count(g.count, "dead letter"))
		} else {
			_, err = fmt.Fprintf(stdout, "would put %s of %s into %s; %d %s done already\n", plural.Count(g.count-g.done, "dead letter"), orDash(g.stream), g.to, g.done, plural.Verb(g.done, "is", "are"))
		}
		if err != nil {
			return false, err
		}
	}
	return c.complete(), errors.Join(tellLeftOut(stdout, &c), tellBroken(stdout, &c))
}

// tellLeftOut says how many dead letters were not looked at any further, and why.
func tellLeftOut(w io.Writer, c *counts) (err error) {
	if c.filtered > 0 {
		_, err = fmt.Fprintf(w, "%s %s left out by the filters\n", plural.Count(c.filtered, "dead letter"), plural.Verb(c.filtered, "is", "are"))
	}
	if c.noRecord > 0 && err == nil {
		_, err = fmt.Fprintf(w, "%s with the reason %s %s left out; --reason %[2]s selects %[4]s\n", plural.Count(c.noRecord, "dead letter"), deadletter.ReasonBroken,
			plural.Verb(c.noRecord, "holds no record and is", "hold no record and are"), plural.Verb(c.noRecord, "it", "them"))
	}
	return err
}

func tellBroken(w io.Writer, c *counts) (err error) {
	if c.broken > 0 {
		_, err = fmt.Fprintf(w, "%s %s\n", plural.Count(c.broken, "line"), plural.Verb(c.broken, "is no dead letter", "are no dead letters"))
	}
	return err
}

// target is the stream a dead letter goes to, or empty.
func (o *options) target(l *deadletter.Entry) string {
	if o.to != "" {
		return o.to
	}
	return l.Stream
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
