// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// mortal is a client of a process that can be killed: nothing leaves it afterwards.
type mortal struct {
	core.Client
	core.ReadClient
	dead *atomic.Bool
}

func (m mortal) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	if m.dead.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return m.Client.PutRecords(ctx, in, opts...)
}

// process is a host with one output and a journal.
type process struct {
	*Instance
	log  *logBuffer
	dead *atomic.Bool
	dir  string
}

func startProcess(t *testing.T, s *kinesistest.Server, dir, name string, kv ...string) *process {
	t.Helper()
	p := &process{log: &logBuffer{}, dead: new(atomic.Bool), dir: dir}
	cfg, err := ParseConfig(with(append([]string{"journal_dir", dir, "flush_timeout", "300ms", "aggregation", "off", "partition_key", "k"}, kv...)...), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	p.Instance, err = New(cfg, Deps{
		Name:   name,
		Logger: slog.New(slog.NewTextHandler(p.log, nil)),
		NewProducer: func(cfg *Config, logger *slog.Logger) (Producer, error) {
			made, err := core.New(mortal{s.Client(), s.Client(), p.dead}, append(producerOptions(cfg, logger), core.WithRetryBackoff(1e6, 1e7))...)
			return coreProducer{made}, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	return p
}

func (p *process) end() {
	if p.Instance != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.Close(ctx)
		p.Instance = nil
	}
}

// kill ends the process at once, and returns the files that it leaves.
func (p *process) kill(t *testing.T) (dir string) {
	t.Helper()
	p.dead.Store(true)
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(p.dir)); err != nil {
		t.Fatal(err)
	}
	p.end()
	return dir
}

func chunkFromTo(t *testing.T, from, to int) (chunk []byte) {
	for n := from; n < to; n++ {
		chunk = append(chunk, eventOf(t, fields{"k": fmt.Sprint(n), "text": "line"})...)
	}
	return chunk
}

// halfStored is a server on which one of two shards throttles.
func halfStored(t *testing.T) (*kinesistest.Server, *kinesistest.FaultHandle) {
	s := kinesistest.New(kinesistest.WithStream("logs", 2))
	throttle := s.Fault(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000000", Effect: kinesistest.ThrottleEntries()})
	return s, throttle
}

func TestChunkUnderWayAtAKillIsContinued(t *testing.T) {
	s, throttle := halfStored(t)
	a := startProcess(t, s, t.TempDir(), "kpl.0")
	chunk := chunkFromTo(t, 0, 60)
	if code := a.Flush("tag", chunk); code != Retry {
		t.Fatalf("unexpected answer; got %v; want retry", code)
	}
	before := len(consumed(t, s, "logs"))
	dir := a.kill(t)
	throttle.Remove()
	b := startProcess(t, s, dir, "kpl.0")
	untilOK(t, b.Instance, "tag", chunk)
	if n := len(consumed(t, s, "logs")); n != 60 || before == 0 || before == 60 {
		t.Errorf("unexpected events; got %d, %d of them before the kill; want 60", n, before)
	}
	if st := b.Stats(); st.Resumed != 1 || st.Events != 0 {
		t.Errorf("unexpected counts; got %d resumed, %d new events; want 1, 0", st.Resumed, st.Events)
	}
	// The same bytes once more are another chunk.
	untilOK(t, b.Instance, "tag", chunk)
	if n := len(consumed(t, s, "logs")); n != 120 {
		t.Errorf("unexpected events; got %d; want the second chunk whole", n)
	}
}

func TestHotReloadKeepsProgress(t *testing.T) {
	s, throttle := halfStored(t)
	dir := t.TempDir()
	a := startProcess(t, s, dir, "kpl.0")
	chunk := chunkFromTo(t, 0, 60)
	a.Flush("tag", chunk)
	a.end()
	throttle.Remove()
	b := startProcess(t, s, dir, "kpl.0")
	untilOK(t, b.Instance, "tag", chunk)
	if n := len(consumed(t, s, "logs")); n != 60 {
		t.Errorf("unexpected events; got %d; want 60", n)
	}
}

// The host is killed before it has worked in the answer OK.
func TestChunkThatWasAnsweredAtAKillIsNotRepeated(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 2))
	a := startProcess(t, s, t.TempDir(), "kpl.0")
	chunk := chunkFromTo(t, 0, 30)
	untilOK(t, a.Instance, "tag", chunk)
	b := startProcess(t, s, a.kill(t), "kpl.0")
	untilOK(t, b.Instance, "tag", chunk)
	if n := len(consumed(t, s, "logs")); n != 30 {
		t.Errorf("unexpected events; got %d; want 30", n)
	}
	// The host has not heard the second answer either.
	c := startProcess(t, s, b.kill(t), "kpl.0")
	untilOK(t, c.Instance, "tag", chunk)
	if n := len(consumed(t, s, "logs")); n != 30 {
		t.Errorf("unexpected events; got %d; want 30", n)
	}
	untilOK(t, c.Instance, "tag", chunk)
	if n := len(consumed(t, s, "logs")); n != 60 {
		t.Errorf("unexpected events; got %d; want 60, since what was known is used once", n)
	}
	d := startProcess(t, s, c.kill(t), "kpl.0")
	untilOK(t, d.Instance, "tag", chunk)
	if n := len(consumed(t, s, "logs")); n != 90 {
		t.Errorf("unexpected events; got %d; want 90, since equal chunks have come one after the other", n)
	}
}

// A host with one worker comes with a chunk that was answered before a crash after others, which may
// take long.
func TestChunkThatWasAnsweredAtAKillIsKnownWhateverTheOthersTake(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 2))
	a := startProcess(t, s, t.TempDir(), "kpl.0")
	chunk := chunkFromTo(t, 0, 30)
	untilOK(t, a.Instance, "tag", chunk)
	dir := a.kill(t)
	b := startProcess(t, s, dir, "kpl.0", "flush_timeout", "12s")
	hang := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
	if code := b.Flush("tag", chunkFromTo(t, 30, 40)); code != Retry {
		t.Fatalf("unexpected answer %v", code)
	}
	hang.Remove()
	if code := b.Flush("tag", chunk); code != OK {
		t.Errorf("unexpected answer %v", code)
	}
	untilOK(t, b.Instance, "tag", chunkFromTo(t, 30, 40))
	if n := len(consumed(t, s, "logs")); n != 40 {
		t.Errorf("unexpected events; got %d; want 40", n)
	}
}

func TestEqualChunksInFlightAtAKillAreTwo(t *testing.T) {
	s, throttle := halfStored(t)
	a := startProcess(t, s, t.TempDir(), "kpl.0")
	chunk := chunkFromTo(t, 0, 40)
	answers := make(chan Code)
	for range 2 {
		go func() { answers <- a.Flush("tag", chunk) }()
	}
	<-answers
	<-answers
	dir := a.kill(t)
	throttle.Remove()
	b := startProcess(t, s, dir, "kpl.0")
	for range 3 {
		untilOK(t, b.Instance, "tag", chunk)
	}
	if n := len(consumed(t, s, "logs")); n != 120 {
		t.Errorf("unexpected events; got %d; want 120: two that were under way, and a third", n)
	}
}

func TestEachOptionThatShapesRecordsChangedOverAKillLosesNothing(t *testing.T) {
	for _, kv := range [][]string{
		{"combine", "lines"},
		{"compression", "gzip"},
		{"partition_key", "text"},
		{"log_key", "text"},
		{"data_keys", "k"},
		{"time_key", "at"},
		{"append_newline", "on"},
		{"replace_dots", "_"},
		{"metadata_key", "m"},
		{"group_key", "g"},
		{"max_record_size", "5000"},
		{"empty_events", "keep"},
	} {
		t.Run(kv[0], func(t *testing.T) {
			t.Parallel()
			s, throttle := halfStored(t)
			a := startProcess(t, s, t.TempDir(), "kpl.0")
			chunk := chunkFromTo(t, 0, 40)
			a.Flush("tag", chunk)
			dir := a.kill(t)
			before := len(consumed(t, s, "logs"))
			throttle.Remove()
			b := startProcess(t, s, dir, "kpl.0", kv...)
			untilOK(t, b.Instance, "tag", chunk)
			want := 40
			if kv[0] == "combine" {
				want = -1
				if n := strings.Count(strings.Join(consumed(t, s, "logs")[before:], ""), `"text"`); n != 40 {
					t.Errorf("unexpected events; got %d in new records; want 40", n)
				}
			}
			if n := len(consumed(t, s, "logs")) - before; want >= 0 && n != want {
				t.Errorf("unexpected events; got %d after the start; want all %d", n, want)
			}
			if n := strings.Count(b.log.String(), "other options or another version"); n != 1 {
				t.Errorf("unexpected log; got %d lines about it; want 1", n)
			}
		})
	}
}

func TestOutputsOverOneJournalFolder(t *testing.T) {
	s, throttle := halfStored(t)
	dir := t.TempDir()
	a, b := startProcess(t, s, dir, "kpl.0"), startProcess(t, s, dir, "kpl.1")
	third := startProcess(t, s, dir, "kpl.1") // another process
	if text := third.log.String(); !strings.Contains(text, "in use by another process") || !strings.Contains(text, "kpl.1") {
		t.Errorf("unexpected log; want why there is no journal; got:\n%s", text)
	}
	chunk := chunkFromTo(t, 0, 30)
	a.Flush("tag", chunk)
	b.Flush("tag", chunk)
	b.dead.Store(true)
	dir = a.kill(t)
	b.kill(t)
	throttle.Remove()
	a, b = startProcess(t, s, dir, "kpl.0"), startProcess(t, s, dir, "kpl.1")
	untilOK(t, a.Instance, "tag", chunk)
	untilOK(t, b.Instance, "tag", chunk)
	untilOK(t, third.Instance, "tag", chunk)
	if n := len(consumed(t, s, "logs")); n != 90 {
		t.Errorf("unexpected events; got %d; want 30 for each output", n)
	}
}

func TestJournalThatCannotBeUsedKeepsNothingFromStarting(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 2))
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, file + "/below", t.TempDir() + "/a/b"} {
		p := startProcess(t, s, dir, "kpl.0")
		if text := p.log.String(); !strings.Contains(text, "delivery goes on without the journal") {
			t.Errorf("%s: unexpected log; got:\n%s", dir, text)
		}
		untilOK(t, p.Instance, "tag", chunkFromTo(t, 0, 3))
	}
}

// With read-back, what was sent without an answer is looked for.
func TestChunkSentWithoutAnAnswerAtAKillIsLookedFor(t *testing.T) {
	for _, c := range []struct {
		name      string
		effect    kinesistest.Effect
		verify    string
		events    int
		uncertain uint64
	}{
		{"stored", kinesistest.Effect{HangReply: true}, "on", 60, 0},
		{"not stored", kinesistest.Hang(), "on", 60, 0},
		{"stored, without read-back", kinesistest.Effect{HangReply: true}, "off", 120, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := kinesistest.New(kinesistest.WithStream("logs", 2))
			kv := []string{"aggregation", "on", "verify_uncertain", c.verify}
			a := startProcess(t, s, t.TempDir(), "kpl.0", kv...)
			hang := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: c.effect})
			chunk := chunkFromTo(t, 0, 60)
			if code := a.Flush("tag", chunk); code != Retry {
				t.Fatalf("unexpected answer; got %v; want retry", code)
			}
			dir := a.kill(t)
			hang.Remove()
			b := startProcess(t, s, dir, "kpl.0", kv...)
			untilOK(t, b.Instance, "tag", chunk)
			if n := len(consumed(t, s, "logs")); n != c.events {
				t.Errorf("unexpected events; got %d; want %d", n, c.events)
			}
			if n := b.journal.Stats().Uncertain; n != c.uncertain {
				t.Errorf("unexpected records uncertain; got %d; want %d", n, c.uncertain)
			}
		})
	}
}

// The host deletes a chunk after OK. An equal one that got RETRY is another one, though nothing
// of it is stored.
func TestChunkThatIsRetriedAtAKillIsNotTakenForAnEqualOneThatWasAnswered(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 2))
	a := startProcess(t, s, t.TempDir(), "kpl.0")
	chunk := chunkFromTo(t, 0, 30)
	untilOK(t, a.Instance, "tag", chunk)
	f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("AccessDeniedException", "no")})
	if code := a.Flush("tag", chunk); code != Retry {
		t.Fatalf("unexpected code; got %v; want RETRY", code)
	}
	dir := a.kill(t)
	f.Remove()
	b := startProcess(t, s, dir, "kpl.0")
	untilOK(t, b.Instance, "tag", chunk)
	if n := len(consumed(t, s, "logs")); n != 60 {
		t.Errorf("unexpected events; got %d; want 60", n)
	}
}
