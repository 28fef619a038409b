// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core"
)

func refusal(reason core.Reason) *core.RecordError {
	return &core.RecordError{Stream: "logs", Reason: reason, Code: "Code", Detail: "detail"}
}

func recordsOf(n int) []core.Record {
	var records []core.Record
	for i := range n {
		records = append(records, core.Record{PartitionKey: "key", Data: fmt.Append(nil, i)})
	}
	return records
}

func TestDeadLettersOfABatch(t *testing.T) {
	records := recordsOf(40)
	records[2].ExplicitHashKey = "17"
	b := outcomes{0: refusal(core.ReasonAccessDenied), 2: refusal(core.ReasonInvalid), 3: refusal(core.ReasonExpired), 39: refusal(core.ReasonTooLarge)}
	var got []int
	for i, l := range fromBatch(b, records, "tag") {
		got = append(got, i)
		if time.Since(l.Time) > time.Hour || time.Since(l.Time) < 0 {
			t.Errorf("unexpected time of dead letter %d; got %v; want now", i, l.Time)
		}
		l.Time = time.Time{}
		switch i {
		case 2:
			want := Entry{
				Stream: "logs", PartitionKey: "key", ExplicitHashKey: "17", Reason: "invalid", Code: "Code", Detail: "detail",
				Attempts: b.Result(2).Attempts, Data: []byte("2"), Source: "tag",
			}
			if !reflect.DeepEqual(l, want) {
				t.Errorf("unexpected dead letter; got %+v; want %+v", l, want)
			}
		case 39:
			if n := len(l.Attempts); n != maxAttempts || l.Attempts[n-1].Code != "code 38" {
				t.Errorf("unexpected attempts; got %d; want the last %d", n, maxAttempts)
			}
		}
	}
	if want := []int{2, 39}; !reflect.DeepEqual(got, want) {
		t.Errorf("unexpected dead letters; got %v; want %v: permanent failures alone", got, want)
	}
}

// fakeSink answers from a list, one item a Write; nil when it has run out.
type fakeSink struct {
	answers []error
	writes  [][]string
}

func (s *fakeSink) Write(_ context.Context, entries []Entry) error {
	var data []string
	for _, l := range entries {
		data = append(data, string(l.Data))
	}
	s.writes = append(s.writes, data)
	if len(s.answers) == 0 {
		return nil
	}
	err := s.answers[0]
	s.answers = s.answers[1:]
	return err
}

func (s *fakeSink) Close(context.Context) error { return nil }

func TestSettle(t *testing.T) {
	boom := errors.New("boom")
	alone := outcomes{4: refusal(core.ReasonRefusedAlone), 5: refusal(core.ReasonRefused)}
	three := outcomes{1: refusal(core.ReasonTooLarge), 2: refusal(core.ReasonAccessDenied), 3: refusal(core.ReasonInvalid), 7: refusal(core.ReasonInvalid)}
	for _, c := range []struct {
		name   string
		b      outcomes
		answer error
		want   []int
		writes [][]string
	}{
		{"nothing failed for good", outcomes{2: refusal(core.ReasonThrottled)}, nil, nil, nil},
		{"what was refused alone is kept", alone, nil, []int{4}, [][]string{{"4"}}},
		{"what failed for good is kept", three, nil, []int{1, 3, 7}, [][]string{{"1", "3", "7"}}},
		{"a sink that fails keeps nothing", three, boom, nil, [][]string{{"1", "3", "7"}}},
		{"a sink that fails in part keeps the rest", three, fmt.Errorf("wrapped: %w", &WriteError{Failed: []int{0, 2}, Err: boom}), []int{3}, [][]string{{"1", "3", "7"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &fakeSink{answers: []error{c.answer}}
			kept, err := Settle(t.Context(), c.b, recordsOf(10), "tag", s)
			if !reflect.DeepEqual(kept, c.want) || !reflect.DeepEqual(s.writes, c.writes) {
				t.Errorf("unexpected result; got %v kept, writes %v; want %v, %v", kept, s.writes, c.want, c.writes)
			}
			if c.answer != nil {
				wantErr(t, err, boom)
			} else if err != nil {
				t.Errorf("unexpected error; got %v; want none", err)
			}
		})
	}
	t.Run("without a sink nothing is kept", func(t *testing.T) {
		kept, err := Settle(t.Context(), three, recordsOf(10), "tag", nil)
		if kept != nil || err != nil {
			t.Errorf("unexpected result; got %v, %v; want none", kept, err)
		}
	})
	many := outcomes{}
	for i := range 1200 {
		many[i] = refusal(core.ReasonInvalid)
	}
	t.Run("many dead letters go piece by piece, and a piece that failed in part does not stop the rest", func(t *testing.T) {
		s := &fakeSink{answers: []error{nil, &WriteError{Failed: []int{0}, Err: boom}}}
		kept, err := Settle(t.Context(), many, recordsOf(1200), "tag", s)
		wantErr(t, err, boom)
		if len(kept) != 1199 || kept[499] != 499 || kept[500] != 501 || len(s.writes) != 3 || len(s.writes[2]) != 200 {
			t.Errorf("unexpected result; got %d kept in %d writes; want all but number 500 in 3", len(kept), len(s.writes))
		}
	})
	t.Run("a piece that failed ends it", func(t *testing.T) {
		s := &fakeSink{answers: []error{nil, boom}}
		kept, err := Settle(t.Context(), many, recordsOf(1200), "tag", s)
		wantErr(t, err, boom)
		if len(kept) != 500 || len(s.writes) != 2 {
			t.Errorf("unexpected result; got %d kept in %d writes; want 500 in 2", len(kept), len(s.writes))
		}
	})
	t.Run("much data goes piece by piece", func(t *testing.T) {
		s := &fakeSink{}
		records := recordsOf(1200)
		for i := range records {
			records[i].Data = make([]byte, pieceBytes/4)
		}
		b := outcomes{0: many[0], 1: many[0], 2: many[0], 3: many[0], 4: many[0]}
		if kept, err := Settle(t.Context(), b, records, "tag", s); err != nil || len(kept) != 5 || len(s.writes) != 2 {
			t.Errorf("unexpected result; got %v, %v, %d writes; want 5 dead letters in 2", kept, err, len(s.writes))
		}
	})
}

func TestLine(t *testing.T) {
	start := time.Date(2026, 11, 24, 10, 0, 0, 5, time.UTC)
	full := Entry{
		Time: start, Stream: "logs", PartitionKey: "<k\u00e9y>&", ExplicitHashKey: "17", Reason: "invalid", Code: "Code", Detail: "a \"detail\"\n",
		Attempts: []core.Attempt{
			{Start: start, Delay: 1500 * time.Millisecond, End: start.Add(1234 * time.Microsecond), ShardID: "shard", SequenceNumber: "49", Code: "Wrong Shard", Message: "m", Uncertain: true},
			{Start: start, End: start},
		},
		Data: []byte{0, 0xff, '\n', '"'}, Source: "kube.var", Events: 7,
	}
	binaryKey := full
	binaryKey.PartitionKey = "k\xff"
	for name, l := range map[string]Entry{"full": full, "key that is not UTF-8": binaryKey, "empty": {Data: []byte{}}} {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			buf.WriteString("before")
			if err := appendLine(&buf, &l); err != nil {
				t.Fatal(err)
			}
			text := strings.TrimPrefix(buf.String(), "before")
			if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
				t.Errorf("unexpected form; got %q; want one line", text)
			}
			got, err := parseLine([]byte(text))
			if err != nil || !reflect.DeepEqual(got, l) {
				t.Errorf("unexpected dead letter; got %+v, %v; want %+v", got, err, l)
			}
		})
	}
	t.Run("form", func(t *testing.T) {
		l := entry("data")
		l.Attempts = full.Attempts[:1]
		var buf bytes.Buffer
		if err := appendLine(&buf, &l); err != nil {
			t.Fatal(err)
		}
		want := `{"time":"2026-11-24T10:30:00.123456789Z","stream":"logs","partition_key":"key","reason":"too_large",` +
			`"attempts":[{"start":"2026-11-24T10:00:00.000000005Z","delay_ms":1500,"duration_ms":1.234,"shard":"shard","sequence_number":"49","code":"Wrong Shard","message":"m","uncertain":true}],` +
			`"data":"ZGF0YQ=="}` + "\n"
		if buf.String() != want {
			t.Errorf("unexpected line; got %s; want %s", buf.String(), want)
		}
	})
}
