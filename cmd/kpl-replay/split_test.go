// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/outkpl/outkpl/core/deadletter"
)

func packZstd(t *testing.T, data string) string {
	t.Helper()
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(data)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// combinedDeadLetter is a dead letter whose record holds events.
func combinedDeadLetter(data string, events int) deadletter.Entry {
	l := deadLetter("a", "too_large", data)
	l.Events = events
	return l
}

func TestSplitMakesARecordOfEachEvent(t *testing.T) {
	lines := "{\"a\":1}\n\"two\\nlines\"\n[x]\n"
	for name, tt := range map[string]struct {
		deadLetter deadletter.Entry
		want       []string
	}{
		"lines":                   {combinedDeadLetter(lines, 3), []string{"[x]", "two\nlines", `{"a":1}`}},
		"zstd":                    {combinedDeadLetter(packZstd(t, lines), 3), []string{"[x]", "two\nlines", `{"a":1}`}},
		"a block of snappy":       {combinedDeadLetter(string(snappy.Encode(nil, []byte(lines))), 3), []string{"[x]", "two\nlines", `{"a":1}`}},
		"an array":                {combinedDeadLetter(`["t",{"a":[1]}]`, 2), []string{"t", `{"a":[1]}`}},
		"an array of one":         {combinedDeadLetter(`["t"]`, 1), []string{"t"}},
		"a record of its own":     {deadLetter("a", "too_large", lines), []string{lines}},
		"an array that is events": {combinedDeadLetter("[1,2]\n", 1), []string{"[1,2]"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := bench(t, "a")
			f := store(t, tt.deadLetter)
			wantText(t, command(t, s, exitOK, "--split", f), "put 1 dead letter\n")
			wantStored(t, s, "a", tt.want...)
			wantText(t, command(t, s, exitOK, "--split", f), "1 dead letter was done before")

			s = bench(t, "a")
			wantText(t, command(t, s, exitOK, store(t, tt.deadLetter)), "put 1 dead letter\n")
			wantStored(t, s, "a", string(tt.deadLetter.Data))
		})
	}
}

func TestSplitLeavesWhatIsNotWhatItSays(t *testing.T) {
	s := bench(t, "a")
	f := store(t, combinedDeadLetter("{\"a\":1}\n{\"b\":2}\n", 3), combinedDeadLetter("x\n", 1))
	wantText(t, command(t, s, exitRest, "--split", f), "put 1 dead letter\n", "1 dead letter cannot be split and is left",
		"its record holds 3 events, but 2 are found; put it as it is, without --split")
	wantStored(t, s, "a", "x")
	wantText(t, command(t, s, exitOK, f), "put 1 dead letter\n", "1 dead letter was done before")
}

func TestSplitKeepsOnlyTheEventThatIsRefusedAgain(t *testing.T) {
	large := strings.Repeat("x", 1<<20+1)
	s := bench(t, "a")
	f := store(t, combinedDeadLetter(packZstd(t, "1\n"+large+"\n3\n"), 3))
	still := f + ".still.ndjson"
	wantText(t, command(t, s, exitRest, "--split", "--failed", still, f), "1 dead letter was refused again and is in the file of --failed")
	wantStored(t, s, "a", "1", "3")
	left := readDeadLetters(t, still)
	if len(left) != 1 || string(left[0].Data) != large || left[0].Events != 0 || left[0].PartitionKey != secret+" key" {
		t.Errorf("unexpected dead letters; got %d; want that of the large event", len(left))
	}

	// Without that file the dead letter is left, and the next run says what it repeats.
	s = bench(t, "a")
	f = store(t, combinedDeadLetter("1\n"+large+"\n", 2))
	wantText(t, command(t, s, exitRest, "--split", f), "1 dead letter was refused again and is left")
	wantText(t, command(t, s, exitRest, "--split", f), "1 dead letter was under way when an earlier run ended")
	wantStored(t, s, "a", "1", "1")
}

func readDeadLetters(t *testing.T, path string) (deadLetters []deadletter.Entry) {
	t.Helper()
	in, err := openInput(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r := deadletter.NewReader(in)
	for {
		l, err := r.Next()
		if err != nil {
			return slices.Clip(deadLetters)
		}
		deadLetters = append(deadLetters, l)
	}
}
