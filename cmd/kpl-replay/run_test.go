// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/option"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "secret"

func deadLetter(stream, reason, data string) deadletter.Entry {
	return deadletter.Entry{
		Time: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), Stream: stream, PartitionKey: secret + " key",
		Reason: reason, Source: "tag", Data: []byte(data),
	}
}

// store writes dead letters to a file of the test's own.
func store(t *testing.T, dead ...deadletter.Entry) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "dead.ndjson")
	f, err := deadletter.OpenFile(deadletter.FileConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write(t.Context(), dead); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return path
}

// bench is a Kinesis over HTTP and the environment for the command.
func bench(t *testing.T, streams ...string) *kinesistest.Server {
	t.Helper()
	var opts []kinesistest.Option
	for _, s := range streams {
		opts = append(opts, kinesistest.WithStream(s, 2))
	}
	s := kinesistest.New(opts...)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for k, v := range map[string]string{
		"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(k, v)
	}
	return s
}

// command runs the command against s and checks the exit code and that nothing
// private is printed. It returns both outputs.
func command(t *testing.T, s *kinesistest.Server, code int, args ...string) string {
	t.Helper()
	return commandIn(t, t.Context(), s, "", code, args...)
}

func commandIn(t *testing.T, ctx context.Context, s *kinesistest.Server, stdin string, code int, args ...string) string {
	t.Helper()
	if s != nil {
		args = append([]string{"--endpoint", s.URL(), "--region", "eu-west-1"}, args...)
	}
	var out, errOut bytes.Buffer
	if got := run(ctx, args, strings.NewReader(stdin), &out, &errOut); got != code {
		t.Errorf("unexpected exit code of %v; got %d; want %d; output:\n%s%s", args, got, code, &out, &errOut)
	}
	text := out.String() + errOut.String()
	if strings.Contains(text, secret) {
		t.Errorf("unexpected data in the output:\n%s", text)
	}
	return text
}

func wantText(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("unexpected output; want %q in it; got:\n%s", w, text)
		}
	}
}

// wantStored compares the data in a stream, sorted, and that nothing is dropped.
func wantStored(t *testing.T, s *kinesistest.Server, stream string, want ...string) {
	t.Helper()
	got := s.Consume(stream)
	var data []string
	for _, r := range got.Records {
		data = append(data, string(r.Data))
		if r.PartitionKey != secret+" key" {
			t.Errorf("unexpected partition key; got %q", r.PartitionKey)
		}
	}
	slices.Sort(data)
	if !reflect.DeepEqual(data, want) || len(got.Dropped) > 0 {
		t.Errorf("unexpected data in %s; got %.300q, %d dropped; want %.300q", stream, data, len(got.Dropped), want)
	}
}

func TestReplay(t *testing.T) {
	t.Run("each dead letter goes to its own stream, and once", func(t *testing.T) {
		s := bench(t, "a", "b")
		f := store(t, deadLetter("a", "invalid", secret+"1"), deadLetter("b", "invalid", secret+"2"), deadLetter("a", "too_large", secret+"3"))
		wantText(t, command(t, s, exitOK, f), "put 3 dead letters\n")
		wantText(t, command(t, s, exitOK, f), "put 0 dead letters\n", "3 dead letters were done before")
		wantStored(t, s, "a", secret+"1", secret+"3")
		wantStored(t, s, "b", secret+"2")
	})
	t.Run("all go to another stream", func(t *testing.T) {
		s := bench(t, "c")
		f := store(t, deadLetter("a", "invalid", "1"), deadLetter("", "invalid", "2"))
		wantText(t, command(t, s, exitOK, "--to", "c", f), "put 2 dead letters\n")
		wantStored(t, s, "c", "1", "2")
	})
	t.Run("what filters leave out is left for later", func(t *testing.T) {
		s := bench(t, "a", "b")
		late := deadLetter("a", "invalid", "4")
		late.Time = late.Time.Add(time.Hour)
		f := store(t, deadLetter("a", "invalid", "1"), deadLetter("b", "invalid", "2"), deadLetter("a", "too_large", "3"), late)
		wantText(t, command(t, s, exitOK, "--stream", "a", "--reason", "invalid, expired", "--until", "2026-11-24T11:00:00Z", f),
			"put 1 dead letter\n", "3 dead letters are left out by the filters")
		wantStored(t, s, "a", "1")
		command(t, s, exitOK, "--since", "2026-11-24T11:00:00Z", f)
		wantStored(t, s, "a", "1", "4")
		wantText(t, command(t, s, exitOK, f), "put 2 dead letters\n", "2 dead letters were done before")
		wantStored(t, s, "a", "1", "3", "4")
		wantStored(t, s, "b", "2")
	})
	t.Run("input that is no record needs to be asked for", func(t *testing.T) {
		s := bench(t, "a")
		f := store(t, deadLetter("a", deadletter.ReasonBroken, "1"))
		wantText(t, command(t, s, exitOK, f), "put 0 dead letters\n", "1 dead letter with the reason broken holds no record and is left out; --reason broken selects it")
		command(t, s, exitOK, "--reason", "broken", f)
		wantStored(t, s, "a", "1")
	})
	t.Run("dead letters that are equal to the last byte are dead letters of their own", func(t *testing.T) {
		s := bench(t, "a")
		l := deadLetter("a", "invalid", "1")
		f := store(t, l, l)
		command(t, s, exitOK, f)
		command(t, s, exitOK, f)
		wantStored(t, s, "a", "1", "1")
	})
	t.Run("progress survives a new name and lines taken out", func(t *testing.T) {
		s := bench(t, "a")
		f := store(t, deadLetter("a", "invalid", "1"), deadLetter("a", "invalid", "2"))
		command(t, s, exitOK, f)
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		_, second, _ := strings.Cut(string(b), "\n")
		moved := f + ".moved"
		if err := os.WriteFile(moved, []byte(strings.TrimSuffix(second, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(f+deadletter.ProgressSuffix, moved+deadletter.ProgressSuffix); err != nil {
			t.Fatal(err)
		}
		wantText(t, command(t, s, exitOK, moved), "put 0 dead letters\n", "1 dead letter was done before")
	})
	t.Run("from standard input", func(t *testing.T) {
		s := bench(t, "a")
		b, err := os.ReadFile(store(t, deadLetter("a", "invalid", "1")))
		if err != nil {
			t.Fatal(err)
		}
		commandIn(t, t.Context(), s, string(b), exitOK, "-")
		wantStored(t, s, "a", "1")
	})
}

func TestReplayNotesWhatFails(t *testing.T) {
	t.Run("what is refused again is left", func(t *testing.T) {
		s := bench(t, "a")
		f := store(t, deadLetter("a", "too_large", strings.Repeat("x", 1<<20)), deadLetter("a", "invalid", "1"))
		wantText(t, command(t, s, exitRest, f), "put 1 dead letter\n", "1 dead letter was refused again and is left")
		wantStored(t, s, "a", "1")
		if err := s.SetMaxRecordKiB("a", 2048); err != nil {
			t.Fatal(err)
		}
		wantText(t, command(t, s, exitOK, f), "put 1 dead letter\n", "1 dead letter was done before")
	})
	t.Run("a key that is not UTF-8 is refused before anything is sent", func(t *testing.T) {
		s := bench(t, "a")
		bad := deadLetter("a", "invalid", "1")
		bad.PartitionKey = secret + "\xff"
		f := store(t, bad, deadLetter("a", "invalid", "2"))
		text := command(t, s, exitRest, f)
		wantText(t, text, "put 1 dead letter\n", "1 dead letter was refused again and is left\n", "1 dead letter: invalid: partition key is not valid UTF-8\n")
		wantStored(t, s, "a", "2")
	})
	t.Run("what is refused again is kept in another file, and done", func(t *testing.T) {
		s := bench(t, "a")
		f := store(t, deadLetter("a", "invalid", strings.Repeat("x", 1<<20)), deadLetter("a", "invalid", "1"))
		failed := filepath.Join(t.TempDir(), "failed.ndjson")
		wantText(t, command(t, s, exitRest, "--failed", failed, f), "put 1 dead letter\n", "1 dead letter was refused again and is in the file")
		wantText(t, command(t, s, exitOK, f), "put 0 dead letters\n", "2 dead letters were done before")
		in, err := os.Open(failed)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		n := 0
		for l, err := range deadletter.Read(in) {
			n++
			if err != nil || l.Reason != "too_large" || len(l.Data) != 1<<20 || l.Source != "tag" || l.PartitionKey != secret+" key" || time.Since(l.Time) > time.Hour {
				t.Errorf("unexpected dead letter; got %s, %d bytes, %v; want the new reason and the old data", l.Reason, len(l.Data), err)
			}
		}
		if n != 1 {
			t.Errorf("unexpected number of dead letters; got %d; want 1", n)
		}
	})
	t.Run("a missing stream ends the run, and nothing counts as done", func(t *testing.T) {
		s := bench(t, "b")
		f := store(t, deadLetter("a", "invalid", "1"), deadLetter("b", "invalid", "2"))
		wantText(t, command(t, s, exitRest, f), "stream_not_found", "put 1 dead letter\n")
		if err := s.CreateStream("a", kinesistest.StreamConfig{Shards: 1}); err != nil {
			t.Fatal(err)
		}
		text := command(t, s, exitOK, f)
		wantText(t, text, "put 1 dead letter\n", "1 dead letter was done before")
		if strings.Contains(text, "twice") {
			t.Errorf("unexpected mention of an earlier run:\n%s", text)
		}
		wantStored(t, s, "a", "1")
		wantStored(t, s, "b", "2")
	})
	t.Run("dead letters without a stream are told", func(t *testing.T) {
		s := bench(t, "a")
		f := store(t, deadLetter("", "invalid", "1"), deadLetter("a", "invalid", "2"))
		wantText(t, command(t, s, exitRest, f), "put 1 dead letter\n", "1 dead letter has no stream")
	})
	t.Run("broken lines are named, the rest is put", func(t *testing.T) {
		s := bench(t, "a")
		f := store(t, deadLetter("a", "invalid", "1"))
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, slices.Concat([]byte(`{"data":"`+secret+"\n"), b), 0o600); err != nil {
			t.Fatal(err)
		}
		wantText(t, command(t, s, exitRest, f), "cannot read line 1:", "put 1 dead letter\n", "1 line is no dead letter")
		wantStored(t, s, "a", "1")
	})
	t.Run("a missing file is an error", func(t *testing.T) {
		f := filepath.Join(t.TempDir(), "none")
		wantText(t, command(t, bench(t), exitRest, f), "cannot read dead letters")
		if _, err := os.Stat(f + deadletter.ProgressSuffix); err == nil {
			t.Error("unexpected progress of a file that is not there")
		}
	})
	t.Run("a file that is being written is not replayed", func(t *testing.T) {
		s := bench(t, "a")
		f := store(t, deadLetter("a", "invalid", "1"))
		w, err := deadletter.OpenFile(deadletter.FileConfig{Path: f})
		if err != nil {
			t.Fatal(err)
		}
		wantText(t, command(t, s, exitRest, f), "while a process writes to it")
		wantText(t, command(t, nil, exitOK, "--list", f), "invalid")
		wantText(t, command(t, nil, exitOK, "--dry-run", f), "would put 1 dead letter")
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		command(t, s, exitOK, f)
	})
	t.Run("a run that was killed is told of", func(t *testing.T) {
		s := bench(t, "a")
		l := deadLetter("a", "invalid", "1")
		f := store(t, l, deadLetter("a", "invalid", "2"))
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := bytes.Cut(b, []byte("\n"))
		i := idOf(first)
		if err := os.WriteFile(f+deadletter.ProgressSuffix, fmt.Appendf(nil, "put %x\ndone 12", i[:]), 0o600); err != nil {
			t.Fatal(err)
		}
		wantText(t, command(t, s, exitOK, f), "put 2 dead letters\n", "1 dead letter was under way when an earlier run ended")
		text := command(t, s, exitOK, f)
		wantText(t, text, "2 dead letters were done before")
		if strings.Contains(text, "under way") {
			t.Errorf("unexpected mention of an earlier run after the dead letter was put:\n%s", text)
		}
	})
	t.Run("a kill at any moment is noticed, since dead letters are noted before they are put", func(t *testing.T) {
		s := bench(t, "a")
		f := store(t, deadLetter("a", "invalid", "1"), deadLetter("a", "invalid", "2"))
		var noted []byte
		s.Intercept(func(c *kinesistest.Call) *kinesistest.Effect {
			if c.Operation != "PutRecords" {
				return nil
			}
			return &kinesistest.Effect{Do: func() { noted, _ = os.ReadFile(f + deadletter.ProgressSuffix) }}
		})
		command(t, s, exitOK, f)
		if got := bytes.Count(noted, []byte("put ")); got != 2 {
			t.Errorf("unexpected progress during the request; got %q; want 2 dead letters in it", noted)
		}
	})
	t.Run("a dead letter that may be stored although it failed is told of by the next run", func(t *testing.T) {
		s := bench(t, "a")
		f := store(t, deadLetter("a", "invalid", "1"))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.LoseReply()})
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Fail("AccessDeniedException", "no")})
		wantText(t, command(t, s, exitRest, f), "access_denied", "put 0 dead letters\n")
		wantText(t, command(t, s, exitOK, f), "put 1 dead letter\n", "1 dead letter was under way when an earlier run ended")
		wantStored(t, s, "a", "1", "1")
	})
	t.Run("a progress file that was changed is an error", func(t *testing.T) {
		s := bench(t, "a")
		f := store(t, deadLetter("a", "invalid", "1"))
		for _, text := range []string{"done 12\n", "gone 00112233445566778899aabbccddeeff\n", "done 00112233445566778899aabbccddeeff00\n", strings.Repeat("x", 100000)} {
			if err := os.WriteFile(f+deadletter.ProgressSuffix, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			wantText(t, command(t, s, exitRest, f), "line 1 of the progress")
		}
	})
	t.Run("two runs on one file are refused", func(t *testing.T) {
		s := bench(t, "a")
		f := store(t, deadLetter("a", "invalid", "1"))
		p, err := openProgress(f)
		if err != nil {
			t.Fatal(err)
		}
		wantText(t, command(t, s, exitRest, f), "another kpl-replay")
		if err := p.close(); err != nil {
			t.Fatal(err)
		}
	})
}

// An interrupt in the middle, whatever is under way then, and a second run: every
// dead letter is there once.
func TestInterruptedReplayGoesOn(t *testing.T) {
	var dead []deadletter.Entry
	var want []string
	for i := range 3*roundRecords + 10 {
		data := fmt.Sprintf("%05d", i)
		want = append(want, data)
		dead = append(dead, deadLetter("a", "invalid", data))
	}
	for _, at := range []int64{1, 2, 3} {
		t.Run(fmt.Sprint("in request ", at), func(t *testing.T) {
			s := bench(t, "a")
			f := store(t, dead...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s.Intercept(func(c *kinesistest.Call) *kinesistest.Effect {
				if c.Operation == "PutRecords" && c.Number == at {
					return &kinesistest.Effect{Do: cancel}
				}
				return nil
			})
			wantText(t, commandIn(t, ctx, s, "", exitRest, f), "stopped")
			if n := len(s.Consume("a").Records); n == 0 || n == len(dead) {
				t.Errorf("unexpected number of records after the interrupt; got %d; want some", n)
			}
			command(t, s, exitOK, f)
			wantStored(t, s, "a", want...)
		})
	}
}

func TestListAndDryRun(t *testing.T) {
	s := bench(t, "a", "b")
	f := store(t, deadLetter("a", "invalid", secret), deadLetter("a", "invalid", "1"), deadLetter("b", "too_large", "2"), deadLetter("", "broken", "3"))
	command(t, s, exitOK, "--stream", "b", f)
	before := s.Calls("PutRecords")
	wantText(t, command(t, nil, exitOK, "--list", f),
		"STREAM  REASON     RECORDS  DONE  BYTES  FIRST                 LAST",
		"a       invalid    2        0     7      2026-11-24T10:00:00Z  2026-11-24T10:00:00Z",
		"b       too_large  1        1     1 ",
		"-       broken     1        0     1 ")
	wantText(t, command(t, nil, exitOK, "--list", "--reason", "broken", f), "-       broken  1")
	wantText(t, command(t, nil, exitOK, "--dry-run", f),
		"would put 2 dead letters of a into a; 0 are done already", "would put 0 dead letters of b into b; 1 is done already", "1 dead letter with the reason broken holds no record and is left out; --reason broken selects it")
	wantText(t, command(t, nil, exitOK, "--dry-run", "--to", "c", f), "would put 2 dead letters of a into c")
	wantText(t, command(t, nil, exitRest, "--dry-run", "--reason", "broken", f), "cannot put 1 dead letter without a stream")
	if got := s.Calls("PutRecords"); got != before {
		t.Errorf("unexpected requests; got %d; want none", got-before)
	}
}

func TestListHidesNoDeadLetter(t *testing.T) {
	s := bench(t, "a")
	f := store(t, deadLetter("a", "broken", "1"), deadLetter("a", "broken", "2"), deadLetter("a", "key_missing", "3"))
	out := command(t, s, exitOK, f)
	wantText(t, out, "put 1 dead letter\n", "2 dead letters with the reason broken hold no record and are left out; --reason broken selects them\n")
	if strings.Contains(out, "filters") {
		t.Errorf("unexpected filters without a filter; got %q", out)
	}
	// What is not put is not done, so that nobody deletes the file.
	wantText(t, command(t, nil, exitOK, "--list", f), "a       broken       2        0     2 ", "a       key_missing  1        1     1 ")
	wantText(t, command(t, nil, exitOK, "--list", "--reason", "key_missing", f), "a       key_missing  1        1     1 ", "2 dead letters are left out by the filters")
	command(t, s, exitOK, "--reason", "broken", f)
	wantText(t, command(t, nil, exitOK, "--list", f), "a       broken       2        2     2 ")
	wantStored(t, s, "a", "1", "2", "3")
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"nothing to read", nil, []string{"no FILE"}},
		{"unknown flag", []string{"--what", "f"}, []string{"-what"}},
		{
			"every mistake at once",
			[]string{"--since", "yesterday", "--until", "-1h", "--reason", "big", "--to", "a b", "--rate-limit", "0", "--list", "--dry-run", "f", "f"},
			[]string{"--since", "--until", `--reason: "big"`, "too_large", "--to", `--rate-limit: "0"`, "--dry-run together", "f twice"},
		},
		{"the file for failures is read", []string{"--failed", "f", "f"}, []string{"--failed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantText(t, command(t, nil, exitUsage, c.args...), c.want...)
		})
	}
	t.Run("help", func(t *testing.T) {
		wantText(t, command(t, nil, exitOK, "--help"), "FILE.done", "-rate-limit PERCENT")
	})
	t.Run("a flag that is nearly one", func(t *testing.T) {
		wantText(t, command(t, nil, exitUsage, "--dry-rum", "f"), "--dry-rum: no such flag; did you mean --dry-run?")
		wantText(t, command(t, nil, exitUsage, "--aws-region", "x", "f"), "--aws-region: no such flag; did you mean --region?")
	})
	t.Run("flags may stand behind files", func(t *testing.T) {
		o, err := parse([]string{"f", "--list", "--", "--g"})
		if err != nil || !o.list || len(o.files) != 2 || o.producer.RateLimit != 50 || !o.producer.Aggregation {
			t.Errorf("unexpected options; got %+v, %v; want a list of two files", o, err)
		}
	})
	t.Run("completion", func(t *testing.T) {
		for _, shell := range option.Shells() {
			text := command(t, nil, exitOK, "--completion", shell)
			for _, s := range option.Specs(flags()) {
				if !strings.Contains(text, s.Name) {
					t.Errorf("unexpected completion for %s; it has no %s", shell, s.Name)
				}
			}
		}
	})
	t.Run("durations are times ago", func(t *testing.T) {
		o, err := parse([]string{"--since", "24h", "f"})
		if err != nil || time.Since(o.filter.since) < 24*time.Hour || time.Since(o.filter.since) > 25*time.Hour {
			t.Errorf("unexpected time; got %v, %v; want 24 hours ago", o.filter.since, err)
		}
	})
}
