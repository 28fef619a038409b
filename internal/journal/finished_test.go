// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// finish makes an entry of which everything is settled, and its client hears of it.
func finish(t *testing.T, j *Journal, content string) *Entry {
	t.Helper()
	e := begin(t, j, content, 1)
	e.Settle(Confirmed, 0, []int32{0})
	e.Finish()
	return e
}

// The host cannot come while it is down, but after ten minutes it is another life of its data.
func TestFinishedEntryOutlivesADownTimeAndIsUsedOnceAProcess(t *testing.T) {
	for _, tt := range []struct {
		name string
		down time.Duration
		want int
	}{{"at once", 0, 1}, {"11 s later", 11 * time.Second, 1}, {"599 s later", 599 * time.Second, 1}, {"601 s later", 601 * time.Second, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				j := mustOpen(t, Config{Dir: dir})
				finish(t, j, "x")
				crash(j)
				time.Sleep(tt.down)
				j = mustOpen(t, j.cfg)
				if n := len(j.Recovered()); n != tt.want {
					t.Fatalf("unexpected entries; got %d; want %d", n, tt.want)
				}
				if tt.want == 0 {
					return
				}
				if _, ok := j.Recovered()[0].Take(false); !ok {
					t.Fatal("unexpected entry; it cannot be used")
				}
				if _, ok := j.Recovered()[0].Take(false); ok {
					t.Error("unexpected entry; it can be used twice")
				}
			})
		})
	}
}

// The answer of the process after the crash may get lost in a crash like that of the first. It still
// counts from the first one.
func TestFinishedEntryThatWasUsedCanBeUsedAfterTheNextCrash(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		finish(t, j, "x")
		for range 3 {
			crash(j)
			time.Sleep(3 * time.Minute)
			if j = mustOpen(t, j.cfg); len(j.Recovered()) != 1 {
				t.Fatalf("unexpected entries; got %d; want 1", len(j.Recovered()))
			}
			e := j.Recovered()[0]
			if _, ok := e.Take(false); !ok {
				t.Fatal("unexpected entry; it cannot be used")
			}
			e.Finish()
		}
		crash(j)
		time.Sleep(3 * time.Minute)
		if j = mustOpen(t, j.cfg); len(j.Recovered()) != 0 {
			t.Error("unexpected entry; it can be used 12 minutes after the first answer")
		}
	})
}

func TestFinishedEntryThatWasUsedLeaves(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		finish(t, j, "x")
		crash(j)
		time.Sleep(time.Second)
		j = mustOpen(t, j.cfg)
		e := j.Recovered()[0]
		e.Take(false)
		e.Finish()
		time.Sleep(11 * time.Second)
		if s := j.Stats(); s.Entries != 0 {
			t.Errorf("unexpected rest; got %d entries; want 0", s.Entries)
		}
	})
}

func TestFinishedEntryIsNotUsedLateInALife(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		finish(t, j, "x")
		crash(j)
		j = mustOpen(t, j.cfg)
		time.Sleep(10500 * time.Millisecond)
		if _, ok := j.Recovered()[0].Take(false); ok {
			t.Error("unexpected entry; it is used although its client could come for more than 10 s")
		}
		if s := j.Stats(); s.Entries != 0 {
			t.Errorf("unexpected rest; got %d entries; want 0", s.Entries)
		}
	})
}

// While a client waits for an answer it cannot come with what was answered before the crash.
func TestTimeInWhichTheClientWaitsDoesNotCount(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			free time.Duration // between three visits of 20 s, two of which overlap
			want bool
		}{{2400 * time.Millisecond, true}, {2600 * time.Millisecond, false}} {
			j := mustOpen(t, Config{Dir: dir})
			finish(t, j, fmt.Sprint("x", tt.free))
			crash(j)
			j = mustOpen(t, j.cfg)
			time.Sleep(tt.free)
			one := j.Enter()
			time.Sleep(20 * time.Second)
			two := j.Enter()
			j.Leave(one)
			time.Sleep(20 * time.Second)
			j.Leave(two)
			time.Sleep(tt.free)
			one = j.Enter()
			time.Sleep(20 * time.Second)
			j.Leave(one)
			time.Sleep(2 * tt.free)
			if _, ok := j.Recovered()[0].Take(false); ok != tt.want {
				t.Errorf("unexpected entry after %v without a visit; usable %v; want %v", 4*tt.free, ok, tt.want)
			}
			crash(j)
		}
	})
}

// The host hears of an answer once its worker has done the chunk after it, which may take long.
func TestFinishedEntryStaysWhileItsClientWaits(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		one := j.Enter()
		finish(t, j, "x")
		j.Leave(one)
		j.Enter()
		time.Sleep(30 * time.Second)
		crash(j)
		if j = mustOpen(t, j.cfg); len(j.Recovered()) != 1 {
			t.Fatalf("unexpected entries; got %d; want 1", len(j.Recovered()))
		}
		crash(j)

		j = mustOpen(t, Config{Dir: t.TempDir()})
		finish(t, j, "y")
		time.Sleep(5 * time.Second)
		one = j.Enter() // has come with something else meanwhile
		time.Sleep(6 * time.Second)
		if s := j.Stats(); s.Entries != 0 {
			t.Errorf("unexpected rest; got %d entries; want 0", s.Entries)
		}
		j.Leave(one)
	})
}

func TestFinishedEntriesLeaveAndTheFileIsEmptied(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		for i := range 100 {
			e := begin(t, j, fmt.Sprint(i), 1)
			e.Settle(Confirmed, 0, []int32{0})
			e.Finish()
		}
		time.Sleep(11 * time.Second)
		if s := j.Stats(); s.Entries != 0 || s.Bytes != int64(headerBytes) {
			t.Errorf("unexpected rest; got %d entries, %d bytes; want 0, %d", s.Entries, s.Bytes, headerBytes)
		}
	})
}

// A clock that was set back makes a finished entry younger than nothing; it is not used then.
func TestFinishedInTheFutureIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		e := begin(t, j, "x", 1)
		e.Settle(Confirmed, 0, []int32{0})
		j.mu.Lock()
		e.state.finished = time.Now().Add(5 * time.Minute).UnixMilli()
		e.state.appendFinished(&j.enc)
		j.flush()
		j.mu.Unlock()
		begin(t, j, "y", 2).Settle(Confirmed, 0, []int32{0})
		crash(j)
		if j = mustOpen(t, j.cfg); len(j.Recovered()) != 1 {
			t.Errorf("unexpected entries; got %d; want the one that is not finished", len(j.Recovered()))
		}
	})
}
