// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/outkpl/outkpl/cmd/kplcat/internal/reader"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/internal/option"
)

const groupTop = "Top"

const topHead = `kplcat top shows what goes into streams while it comes: records and bytes a second of each
stream and shard, how much of a shard's limit that is, and the partition keys that have
most. It reads all shards from their tips, and so takes its part of what they grant
consumers (see kplcat --help).

Usage:
  kplcat top [flags] STREAM...

`

const topTail = `
Columns:
  kinesis/s, user/s  Kinesis records and user records in a second
  bytes/s            data and partition keys of the Kinesis records
  used               the larger of both as a part of what a shard takes: 1000 Kinesis
                     records and 1 MiB in a second; of a stream, of all its shards
  late               how long before now the latest record arrived
  throttled          reads that the shard refused since the start, as others read it, too

Keys are those of user records, by their bytes; the counts are lower bounds once there
are very many. A stream does not tell which writes it refused: that is in the metrics of
producers (kpl_kinesis_records_put_total), and in CloudWatch.

On a terminal the table is renewed. Keys: q ends, p stops and goes on, s and b sort by
shard or by bytes, + and - show more or fewer keys. --once prints one table after the
interval, and is what happens when the output is no terminal.

Exit codes: 0 done (also when interrupted); 1 something failed, or with --once no shard of
a stream could be read; 2 the command line is wrong.
`

// topOptions are those of kplcat top beside the shared ones.
type topOptions struct {
	once     bool
	interval time.Duration
	keys     int
	streams  []*options // one for each stream
}

// topFlags are the flags of kplcat top.
var topFlags = slices.Concat([]flag{
	{
		Spec:  option.Spec{Name: "once", Kind: option.Bool, Group: groupTop, Doc: "Print one table after the interval, and end."},
		Field: func(o *options) any { return &o.top.once },
	},
	{
		Spec: option.Spec{
			Name: "interval", Arg: "DURATION", Kind: option.Duration, Default: "5s", Min: int64(time.Second), Max: int64(time.Hour), Group: groupTop,
			Doc: "Time that a table is about, and until the next one. Default 5s; 1s to 1h.",
		},
		Field: func(o *options) any { return &o.top.interval },
	},
	{
		Spec: option.Spec{
			Name: "keys", Arg: "N", Kind: option.Int, Default: "5", Min: 0, Max: 100, Group: groupTop,
			Doc: "How many partition keys to show of each stream. Default 5; 0 to 100.",
		},
		Field: func(o *options) any { return &o.top.keys },
	},
}, awsFlags(), otherFlags)

// runTop is kplcat top.
func runTop(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	o := &options{}
	_, streams, problems := option.ReadArgs(topFlags, args, o)
	switch {
	case len(problems) > 0:
	case o.help:
		return exitOK, writeString(stdout, topHead+option.Help(option.Specs(topFlags))+topTail)
	case o.version:
		return exitOK, writeString(stdout, version()+"\n")
	}
	if len(streams) == 0 {
		problems = append(problems, &option.Problem{What: "no stream is given", Allowed: "names or ARNs of streams"})
	}
	top := &o.top
	for _, name := range streams {
		one := *o
		problems = append(problems, one.setStream(name)...)
		top.streams = append(top.streams, &one)
	}
	if err := asUsage(problems, " top"); err != nil {
		return exitUsage, err
	}
	screen, err := newScreen(stdin, stdout, top.once)
	if err != nil {
		return exitError, err
	}
	defer screen.close()
	err = watch(ctx, top, screen, newWarner(stderr))
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) || errors.Is(err, errEnough) {
		err = nil
	}
	if err != nil {
		return exitError, err
	}
	return exitOK, nil
}

// errEnough ends watching without a failure.
var errEnough = errors.New("enough was seen")

// watch reads the streams until it is enough.
func watch(ctx context.Context, top *topOptions, screen *screen, warn *warner) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	b := &topView{began: time.Now(), top: top}
	failed := make(chan error, len(top.streams))
	for _, o := range top.streams {
		client, err := awsclient.New(ctx, o.client())
		if err != nil {
			return explain(err, o)
		}
		api, ok := client.(reader.API)
		if !ok {
			return errors.New("cannot read: the Kinesis client has no GetRecords")
		}
		st := newTraffic(cmp.Or(o.stream, o.arn))
		b.streams = append(b.streams, st)
		c := reader.Config{API: &counting{api, st}, Stream: o.stream, ARN: o.arn, Poll: time.Second, Retries: retries, Handle: st.add, Warn: warn.warn}
		if isEmulator(o.aws.Endpoint) {
			c.ScanTimes = true
		} else {
			c.BytesPerSecond = readBytesPerSecond
		}
		wg.Go(func() {
			if err := explain(reader.Run(ctx, c), o); err != nil {
				failed <- err
			}
		})
	}
	if !screen.once {
		if err := screen.show(b.text(screen.lines())); err != nil {
			return err
		}
	}
	tick := time.NewTicker(top.interval)
	defer tick.Stop()
	for {
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			if b.paused {
				continue
			}
			b.next(now)
			unread := b.unread()
			if screen.once && len(unread) == len(b.streams) {
				return explainAll(unread, top.streams)
			}
			if err := screen.show(b.text(screen.lines())); err != nil {
				return err
			}
			if screen.once {
				return cmp.Or(explainAll(unread, top.streams), errEnough)
			}
		case key := <-screen.keys:
			if !b.press(key) {
				return errEnough
			}
			if err := screen.show(b.text(screen.lines())); err != nil {
				return err
			}
		}
	}
}

// unread says of streams of which no shard could be read yet why, by their numbers. Zeros would
// say that nothing comes.
func (b *topView) unread() map[int]error {
	list := map[int]error{}
	for i, t := range b.streams {
		t.mu.Lock()
		if !t.answered {
			list[i] = fmt.Errorf("cannot read stream %s: %w", t.name, cmp.Or(t.failed, fmt.Errorf("no answer within %v", b.top.interval)))
		}
		t.mu.Unlock()
	}
	return list
}

func explainAll(unread map[int]error, streams []*options) error {
	var list []error
	for _, i := range slices.Sorted(maps.Keys(unread)) {
		list = append(list, explain(unread[i], streams[i]))
	}
	return errors.Join(list...)
}

// topView is what is on the screen.
type topView struct {
	top     *topOptions
	streams []*traffic
	began   time.Time // of the interval
	ended   time.Time // of the last one, which is shown
	seconds float64   // that it took
	keys    [][]keyBytes
	byBytes bool
	paused  bool
}

// next ends an interval.
func (b *topView) next(now time.Time) {
	b.seconds, b.began, b.ended = max(now.Sub(b.began).Seconds(), 1e-3), now, now
	b.keys = b.keys[:0]
	for _, t := range b.streams {
		t.mu.Lock()
		for _, sh := range t.shards {
			sh.last, sh.now = sh.now, rate{}
		}
		b.keys = append(b.keys, t.keys.most(100))
		t.keys = newHeavy()
		t.mu.Unlock()
	}
}

// press does what a key asks for; false ends.
func (b *topView) press(key byte) bool {
	switch key {
	case 'q', 'Q', 3, 4: // Ctrl-C and Ctrl-D come as bytes from a raw terminal
		return false
	case 'p', ' ':
		b.paused = !b.paused
	case 's':
		b.byBytes = false
	case 'b':
		b.byBytes = true
	case '+':
		b.top.keys = min(b.top.keys+1, 100)
	case '-':
		b.top.keys = max(b.top.keys-1, 0)
	}
	return true
}

// The limits of a shard (https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html,
// checked 2026-11-24).
const (
	shardRecords = 1000
	shardBytes   = 1 << 20
)

// used is the part of its limits that a rate takes of some shards.
func (b *topView) used(r rate, shards int) float64 {
	return max(float64(r.kinesis)/shardRecords, float64(r.bytes)/shardBytes) / b.seconds / float64(max(1, shards))
}

// text is the screen, of at most as many lines as it has; 0 is any number.
func (b *topView) text(lines int) string {
	if b.ended.IsZero() {
		return fmt.Sprintf("counts what comes into %s from now on; the first table follows in %s\n", b.names(), b.top.interval)
	}
	rows := [][]string{{"", "kinesis/s", "user/s", "bytes/s", "used", "late", "throttled"}}
	var keys []string
	for i, t := range b.streams {
		t.mu.Lock()
		ids := make([]string, 0, len(t.shards))
		var sum rate
		var latest time.Time
		for id, sh := range t.shards {
			ids = append(ids, id)
			sum.add(sh.last)
			if sh.latest.After(latest) {
				latest = sh.latest
			}
		}
		slices.SortFunc(ids, func(x, y string) int {
			byBytes := 0
			if b.byBytes {
				byBytes = cmp.Compare(t.shards[y].last.bytes, t.shards[x].last.bytes)
			}
			return cmp.Or(byBytes, strings.Compare(x, y))
		})
		rows = append(rows, b.row(t.name, sum, len(ids), latest, fmt.Sprint(t.throttled)))
		for _, id := range ids {
			rows = append(rows, b.row("  "+shortShard(id), t.shards[id].last, 1, t.shards[id].latest, ""))
		}
		t.mu.Unlock()
		if i < len(b.keys) {
			for _, k := range b.keys[i][:min(b.top.keys, len(b.keys[i]))] {
				keys = append(keys, fmt.Sprintf("  %s  %9s/s  %5.1f%%  %s", t.name, size(float64(k.bytes)/b.seconds),
					100*float64(k.bytes)/math.Max(1, float64(total(b.keys[i]))), printable(nil, []byte(k.key))))
			}
		}
	}
	var out bytes.Buffer
	state := ""
	if b.paused {
		state = ", paused"
	}
	fmt.Fprintf(&out, "%s UTC, %.1f s%s\n", b.ended.UTC().Format(time.DateTime), b.seconds, state)
	if lines > 0 {
		keys = keys[:min(len(keys), max(0, lines/3))]
		room := max(2, lines-len(keys)-4)
		if len(rows) > room {
			left := len(rows) - room + 1
			rows = append(rows[:room-1:room-1], []string{fmt.Sprintf("  ... %d more", left), "", "", "", "", "", ""})
		}
	}
	writeColumns(&out, rows)
	if len(keys) > 0 {
		out.WriteString("\nkeys with most bytes, of the user records\n" + strings.Join(keys, "\n") + "\n")
	}
	return out.String()
}

func (b *topView) names() string {
	var names []string
	for _, t := range b.streams {
		names = append(names, t.name)
	}
	return strings.Join(names, ", ")
}

func total(keys []keyBytes) (n int64) {
	for _, k := range keys {
		n += k.bytes
	}
	return n
}

func (b *topView) row(name string, r rate, shards int, latest time.Time, throttled string) []string {
	late := "-"
	if !latest.IsZero() {
		late = max(0, b.ended.Sub(latest)).Truncate(time.Second).String()
	}
	perSecond := func(n int64) string { return fmt.Sprintf("%.1f", float64(n)/b.seconds) }
	return []string{
		name, perSecond(r.kinesis), perSecond(r.users), size(float64(r.bytes) / b.seconds),
		fmt.Sprintf("%.0f%%", 100*b.used(r, shards)), late, throttled,
	}
}

// size is a number of bytes in a unit that suits it.
func size(n float64) string {
	for _, unit := range []string{"B", "KiB", "MiB"} {
		if n < 1024 {
			return fmt.Sprintf("%.1f %s", n, unit)
		}
		n /= 1024
	}
	return fmt.Sprintf("%.1f GiB", n)
}

// writeColumns writes rows, the first column to the left, the others to the right.
func writeColumns(out *bytes.Buffer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range rows {
		line := fmt.Sprintf("%-*s", widths[0], row[0])
		for i, cell := range row[1:] {
			line += fmt.Sprintf("  %*s", widths[i+1], cell)
		}
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// screen is where the table is shown.
type screen struct {
	out   io.Writer
	once  bool
	keys  chan byte // nil: none
	size  func() int
	close func()
}

// newScreen takes over the terminal, if there is one.
func newScreen(stdin io.Reader, stdout io.Writer, once bool) (*screen, error) {
	s := &screen{out: stdout, once: true, size: func() int { return 0 }, close: func() {}}
	out, ok := stdout.(*os.File)
	if once || !ok || !isTerminal(stdout) {
		return s, nil
	}
	s.once = false
	s.size = func() int {
		if _, height, err := term.GetSize(int(out.Fd())); err == nil {
			return height
		}
		return 0
	}
	in, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return s, nil
	}
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("cannot read keys from the terminal: %w", err)
	}
	s.keys = make(chan byte)
	done := make(chan struct{})
	s.close = func() {
		close(done)
		_ = term.Restore(int(in.Fd()), before)
	}
	// A read of a terminal can be ended by a key alone, or with the process.
	go func() {
		var b [1]byte
		for {
			if n, err := in.Read(b[:]); n == 0 || err != nil {
				return
			}
			select {
			case s.keys <- b[0]:
			case <-done:
				return
			}
		}
	}()
	return s, nil
}

// topKeys is the last line of a screen that takes keys.
const topKeys = "\nq ends, p stops and goes on, s and b sort by shard or bytes, + and - for keys"

// lines is how many a table may have; 0 is any number.
func (s *screen) lines() int {
	n := s.size()
	if n > 0 && s.keys != nil {
		n = max(1, n-strings.Count(topKeys, "\n")-1)
	}
	return n
}

// show puts a text on the screen, or prints it.
func (s *screen) show(text string) error {
	if !s.once {
		if s.keys != nil {
			text += topKeys
		}
		// In a raw terminal a line feed does not lead to the start of a line.
		text = "\x1b[H\x1b[2J" + strings.ReplaceAll(text, "\n", "\r\n")
	}
	return writeString(s.out, text)
}
