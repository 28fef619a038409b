// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/testkit"
)

func TestWhatBecomesOfEventsIsLoggedToTheEnd(t *testing.T) {
	const secret = "sesame"
	for _, c := range []struct {
		name, policy, place, line string
		sink                      deadletter.Sink
	}{
		{"kept", "dead_letter", "--dead_letter.stream=unused", "events can never be stored and are kept as dead letters", &memory{}},
		{"dropped", "drop", "--log.level=info", "events can never be stored and were dropped", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logs := &testkit.Buffer{}
				r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1)), log: logs, deadLetters: c.sink}
				r.configure("--route.malformed="+c.policy, "--route.oversize="+c.policy, "--route.record_max_size=2KiB", c.place)
				r.start()
				lines := func(reason string) (got []string) {
					for l := range strings.Lines(logs.String()) {
						if strings.Contains(l, c.line) && strings.Contains(l, "reason="+reason) {
							_, l, _ = strings.Cut(strings.TrimSpace(l), " events=")
							got = append(got, l)
						}
					}
					return got
				}
				want := func(reason string, want ...string) {
					t.Helper()
					if got := lines(reason); !slices.Equal(got, want) {
						t.Errorf("unexpected lines of %s; got %q; want %q", reason, got, want)
					}
				}
				broken := func(n int) {
					t.Helper()
					body := `{"a":1}` + "\n" + strings.Repeat(`{"`+secret+`":x`+"\n", n) + `{"b":2}`
					r.post(t.Context(), "/", []byte(body), "Content-Type", "application/x-ndjson").want(t, 200, fmt.Sprint(n))
				}
				broken(2)
				broken(3)
				r.post(t.Context(), "/", []byte(`{"`+secret+`":"`+strings.Repeat("x", 3000)+`"}`)).want(t, 200, "1")
				want("malformed", "2 not_shown=0 events_not_shown=0")
				want("too_large", "1 not_shown=0 events_not_shown=0")
				time.Sleep(logInterval)
				broken(1)
				broken(4)
				broken(5)
				want("malformed", "2 not_shown=0 events_not_shown=0", "1 not_shown=1 events_not_shown=3")
				r.stop()
				want("malformed", "2 not_shown=0 events_not_shown=0", "1 not_shown=1 events_not_shown=3", "5 not_shown=1 events_not_shown=4")
				want("too_large", "1 not_shown=0 events_not_shown=0")
				if text := logs.String(); strings.Contains(text, secret) {
					t.Errorf("unexpected contents in the log; got %s", text)
				}
			})
		})
	}
}

func TestDeadLettersOfRefusedRecordsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := &testkit.Buffer{}
		r := &rig{t: t, kinesis: kinesistest.New(), log: logs, deadLetters: &memory{}}
		if err := r.kinesis.CreateStream("logs", kinesistest.StreamConfig{MaxRecordKiB: 1 << 10}); err != nil {
			t.Fatal(err)
		}
		r.configure("--dead_letter.stream=unused")
		r.start()
		large := largeEvent(1, 1<<20)
		r.post(t.Context(), "/", []byte(eventText(0)+"\n"+large+"\n"+large)).want(t, 200, `{"events":3,"dead_lettered":2}`)
		r.stop()
		if text := logs.String(); strings.Count(text, "are kept as dead letters") != 1 || !strings.Contains(text, "stream=logs reason=too_large") ||
			!strings.Contains(text, " events=2 not_shown=0 ") {
			t.Errorf("unexpected log; got %s; want one line of two events", text)
		}
	})
}

func TestSuppressedLinesHoldNoBody(t *testing.T) {
	s := &Server{log: slog.New(slog.DiscardHandler)}
	released := make(chan struct{})
	func() {
		c := &content{s: s, dest: &destination{stream: "logs"}, known: []deadletter.Entry{{Reason: deadletter.ReasonBroken}}}
		runtime.AddCleanup(c, func(struct{}) { close(released) }, struct{}{})
		for range 2 {
			c.Written(nil, []int32{0}, nil, nil, nil)
		}
	}()
	if k := s.throttled.kinds["keep malformed"]; k == nil || k.rest == nil {
		t.Fatalf("unexpected lines; got %+v; want a suppressed one", k)
	}
	defer runtime.KeepAlive(s)
	for range 100 {
		runtime.GC()
		select {
		case <-released:
			return
		default:
			runtime.Gosched()
		}
	}
	t.Error("unexpected content behind a suppressed line; want it freed")
}
