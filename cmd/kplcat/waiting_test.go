// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/cmd/kplcat/internal/reader"
)

func TestLineOfWaitingSaysWhatGoesOn(t *testing.T) {
	now := time.Date(2026, 11, 28, 23, 47, 20, 0, time.UTC)
	for want, p := range map[string]progress{
		"kplcat: waiting for records; Ctrl-C ends": {follow: true},
		"kplcat: looking for records":              {},
		"kplcat: reading: 1,234,567 user records in 1,000 Kinesis records of 2 shards, 10 shown, at 2026-11-28 20:47:20, 3h0m0s ago": {
			records: 1000, users: 1234567, shown: 10, shards: 2, arrival: now.Add(-3 * time.Hour), follow: true,
		},
		"kplcat: reading: 1 user record in 1 Kinesis record of 1 shard, at 2026-11-28 23:47:20": {records: 1, users: 1, shards: 1, counting: true, arrival: now},
		"kplcat: waiting for more: 2 user records in 1 Kinesis record of 1 shard, at 2026-11-28 23:47:16": {
			records: 1, users: 2, shown: 2, shards: 1, follow: true, idle: true, arrival: now.Add(-4 * time.Second),
		},
	} {
		if got := p.text(now); got != want {
			t.Errorf("unexpected line; got %q; want %q", got, want)
		}
	}
}

func TestOutputTakesThePlaceOfTheLineOfWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		w := &waiting{term: &b, width: 20, last: time.Now()}
		out := w.over(&b)
		w.say("too early", time.Now())
		time.Sleep(silence)
		w.say("nothing was shown for long", time.Now())
		if _, err := io.WriteString(out, "record\n"); err != nil {
			t.Fatal(err)
		}
		w.say("too early again", time.Now())
		time.Sleep(silence)
		w.say("again", time.Now())
		w.say("once more", time.Now())
		w.end()
		w.say("after the end", time.Now().Add(time.Hour))
		w.end()
		if want := clearLine + "nothing was shown f" + clearLine + "record\n" + clearLine + "again" + clearLine + "once more" + clearLine; b.String() != want {
			t.Errorf("unexpected output; got %q; want %q", b.String(), want)
		}
	})
}

func TestWithoutATerminalThereIsNoLineOfWaiting(t *testing.T) {
	var b bytes.Buffer
	w := newWaiting(&options{}, &b, time.Now())
	if out := w.over(&b); out != &b {
		t.Error("unexpected wrapper around the output")
	}
	w.say("text", time.Now().Add(time.Hour))
	w.end()
	if b.Len() != 0 {
		t.Errorf("unexpected output; got %q", b.String())
	}
}

// The table of --interval keeps its time beside the line of waiting.
func TestTicksWithALineAndATable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		o := &options{stats: "table", interval: 3 * time.Second}
		v, err := newView(o, &b, &waiting{term: &b, width: 200, last: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		var c reader.Config
		setTicks(&c, o, v)
		ctx, cancel := context.WithTimeout(t.Context(), 7500*time.Millisecond)
		defer cancel()
		tick := time.NewTicker(c.Every)
		defer tick.Stop()
		for ctx.Err() == nil {
			select {
			case <-tick.C:
				if err := c.Tick(); err != nil {
					t.Fatal(err)
				}
			case <-ctx.Done():
			}
		}
		if tables, lines := strings.Count(b.String(), "shard "), strings.Count(b.String(), "looking for records"); tables != 2 || lines < 3 {
			t.Errorf("unexpected output; got %d tables and %d lines in %q; want 2 and at least 3", tables, lines, b.String())
		}
	})
}
