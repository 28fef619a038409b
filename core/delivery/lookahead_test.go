// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/journal"
)

// A host with one worker brings one content after the other. Each search takes a second at least.
func TestContentsThatComeOneAfterTheOtherWaitForOneSearch(t *testing.T) {
	for name, e := range map[string]kinesistest.Effect{"stored": {HangReply: true}, "not stored": kinesistest.Hang()} {
		t.Run(name, func(t *testing.T) {
			everyWay(t, func(t *testing.T, detach bool) {
				s := kinesistest.New(kinesistest.WithStream("logs", 2))
				var list []*Content
				for i := range 8 {
					list = append(list, (&life{}).content(fmt.Sprint("c", i), 20))
				}
				dir := putAndDie(t, s, e, detach, true, list...)
				b := live(t, s, dir, detach, true)
				began := time.Now()
				for i := range list {
					b.deliver(b.content(fmt.Sprint("c", i), 20))
				}
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("unexpected time; got %v for %d contents; want that of one search, below 3s", took, len(list))
				}
				if got := b.journal.Stats(); got.Uncertain != 0 || got.Used != 8 {
					t.Errorf("unexpected journal; got %d records uncertain, %d contents used; want 0, 8", got.Uncertain, got.Used)
				}
				b.end()
				for i := range list {
					checkStored(t, s, "logs", fmt.Sprint("c", i), 20, 1)
				}
			})
		})
	}
}

// What is found is noted at once, also of contents that have not come.
func TestWhatIsFoundBeforeAContentComesIsKnownAfterTheNextKill(t *testing.T) {
	everyWay(t, func(t *testing.T, detach bool) {
		s := kinesistest.New(kinesistest.WithStream("logs", 2))
		dir := putAndDie(t, s, kinesistest.Effect{HangReply: true}, detach, true, (&life{}).content("c", 60))
		b := live(t, s, dir, detach, true)
		time.Sleep(5 * time.Second)
		dir = b.die()
		s.Fault(kinesistest.Fault{Operation: "GetRecords", Effect: kinesistest.Fail("AccessDeniedException", "")})
		c := live(t, s, dir, detach, true)
		c.deliver(c.content("c", 60))
		if got := c.journal.Stats(); got.Uncertain != 0 || got.Used != 1 {
			t.Errorf("unexpected journal; got %d records uncertain, %d contents used; want 0, 1", got.Uncertain, got.Used)
		}
		c.end()
		checkStored(t, s, "logs", "c", 60, 1)
	})
}

// A stream that is named by its ARN, which may be that of another account, is looked for by that.
func TestStreamsAreLookedForAsTheyWereNamed(t *testing.T) {
	const arn = "arn:aws:kinesis:us-east-1:123456789012:stream/logs"
	for _, stream := range []string{"logs", arn} {
		t.Run(stream, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream("logs", 2))
				a := live(t, s, t.TempDir(), false, true)
				before, c := a.content("before", 10), a.content("c", 10)
				before.Stream, c.Stream = stream, stream
				a.deliver(before)
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
				go a.try(c, time.Second)
				time.Sleep(500 * time.Millisecond)
				j, err := journal.Open(journal.Config{Dir: a.die(), Name: "one"})
				if err != nil {
					t.Fatal(err)
				}
				defer j.Close()
				var asked []string
				l := New(Config{Journal: j, LookFor: func(_ context.Context, stream string, list []core.Unanswered) []core.Found {
					asked = append(asked, stream)
					return make([]core.Found, len(list))
				}})
				l.Stop(t.Context())
				if !slices.Equal(asked, []string{stream}) {
					t.Errorf("unexpected streams; got %q; want %q", asked, stream)
				}
			})
		})
	}
}

// aheadOf makes a Deliverer that has begun to look for one record, and a second one that
// waits. Each search takes a second. asked returns the streams of all so far.
func aheadOf(outcome core.LookOutcome) (l *Deliverer, first, second core.Unanswered, asked func() []string) {
	var mu sync.Mutex
	var streams []string
	first, second = core.Unanswered{PartitionKey: "first"}, core.Unanswered{PartitionKey: "second"}
	l = &Deliverer{cfg: Config{LookFor: func(_ context.Context, stream string, _ []core.Unanswered) []core.Found {
		mu.Lock()
		streams = append(streams, stream)
		mu.Unlock()
		time.Sleep(time.Second)
		return []core.Found{{Outcome: outcome}}
	}}}
	s := &lookAhead{by: l, records: map[core.Unanswered]*sought{}}
	for _, d := range []core.Unanswered{first, second} {
		r := &sought{record: d, done: make(chan struct{})}
		s.records[d] = r
		s.streams = append(s.streams, &soughtStream{name: "background " + d.PartitionKey, list: []*sought{r}})
	}
	l.ahead = s
	go s.run()
	return l, first, second, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(streams)
	}
}

func TestASearchIsTakenOverOrWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		name    string
		outcome core.LookOutcome
		late    bool // the content comes when the search has ended
		want    []string
	}{
		{"found while it is waited for", core.LookStored, false, []string{"background first", "background second"}},
		// A content waits no longer than for one search.
		{"open after it was waited for", core.LookOpen, false, []string{"background first", "background second"}},
		{"found before", core.LookMissing, true, []string{"background first", "background second"}},
		{"open before", core.LookOpen, true, []string{"background first", "background second", "own first"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, first, _, asked := aheadOf(tt.outcome)
				if tt.late {
					time.Sleep(10 * time.Second)
				} else {
					time.Sleep(500 * time.Millisecond)
				}
				began := time.Now()
				first.Records = 7 // is not what it is known by
				found := l.lookFor(t.Context(), "own first", []core.Unanswered{first})
				if len(found) != 1 || found[0].Outcome != tt.outcome {
					t.Errorf("unexpected outcome; got %+v; want %d", found, tt.outcome)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("unexpected time; got %v; want that of one search at most", took)
				}
				time.Sleep(10 * time.Second)
				if !slices.Equal(asked(), tt.want) {
					t.Errorf("unexpected searches; got %q; want %q", asked(), tt.want)
				}
			})
		})
	}
	t.Run("not begun", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, _, second, asked := aheadOf(core.LookMissing)
			time.Sleep(500 * time.Millisecond)
			if found := l.lookFor(t.Context(), "own second", []core.Unanswered{second}); found[0].Outcome != core.LookMissing {
				t.Errorf("unexpected outcome; got %+v", found)
			}
			time.Sleep(10 * time.Second)
			if want := []string{"background first", "own second"}; !slices.Equal(asked(), want) {
				t.Errorf("unexpected searches; got %q; want %q", asked(), want)
			}
		})
	})
}
