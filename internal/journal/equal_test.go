// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Where equal contents come anew, one of them must never be taken for one that was answered.
func TestContentsThatComeAgainAndAgainAreNotKnownOnceAnswered(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		finish(t, j, "x")
		finish(t, j, "x")
		finish(t, j, "y")
		time.Sleep(11 * time.Second) // until nothing is kept of the first ones
		finish(t, j, "x")
		for i := range maxAnswered {
			finish(t, j, fmt.Sprint(i)).End()
		}
		finish(t, j, "y")
		crash(j)
		if j = mustOpen(t, j.cfg); len(j.Recovered()) != 0 {
			t.Errorf("unexpected entries; got %d; want none", len(j.Recovered()))
		}
		finish(t, j, "z")
		crash(j)
		for range 2 { // used in one process, and an equal one comes in the next
			j = mustOpen(t, j.cfg)
			if len(j.Recovered()) != 1 {
				t.Fatalf("unexpected entries; got %d; want 1", len(j.Recovered()))
			}
			j.Recovered()[0].Take(false)
			j.Recovered()[0].Finish()
			crash(j)
		}
		j = mustOpen(t, j.cfg)
		j.Recovered()[0].Take(false)
		j.Recovered()[0].Finish()
		finish(t, j, "z")
		crash(j)
		if j = mustOpen(t, j.cfg); len(j.Recovered()) != 0 {
			t.Errorf("unexpected entries; got %d after an equal content; want none", len(j.Recovered()))
		}
	})
}

// One of two equal contents was answered at a crash. If one comes again, it is the other.
func TestAnsweredContentIsNotKnownIfAnEqualOneIsUnderWay(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		finish(t, j, "x")
		begin(t, j, "x", 3).Settle(Confirmed, 0, []int32{1})
		crash(j)
		j = mustOpen(t, j.cfg)
		if list := j.Recovered(); len(list) != 1 || len(list[0].Progress().Missing) != 2 {
			t.Errorf("unexpected entries; got %d; want that which is under way", len(list))
		}
	})
}

// An equal content that is not on disk at a crash is not taken for the one that was answered.
func TestAnsweredContentIsNotKnownIfAnEqualOneComesAgain(t *testing.T) {
	for _, tt := range []struct {
		name string
		work func(t *testing.T, j *Journal)
	}{
		{"it has begun", func(t *testing.T, j *Journal) {
			finish(t, j, "x")
			begin(t, j, "x", 3) // nothing of it is sent yet
		}},
		{"it is abandoned", func(t *testing.T, j *Journal) {
			finish(t, j, "x")
			begin(t, j, "x", 3).Abandon()
		}},
		{"it is abandoned behind an answer in between", func(t *testing.T, j *Journal) {
			one, two := begin(t, j, "x", 1), begin(t, j, "x", 3)
			one.Settle(Confirmed, 0, []int32{0})
			one.Finish()
			two.Abandon()
		}},
		{"it was abandoned before the answer", func(t *testing.T, j *Journal) {
			one := begin(t, j, "x", 1)
			begin(t, j, "x", 3).Abandon()
			one.Settle(Confirmed, 0, []int32{0})
			one.Finish()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				j := mustOpen(t, Config{Dir: dir})
				finish(t, j, "y")
				tt.work(t, j)
				crash(j)
				j = mustOpen(t, j.cfg)
				usable := 0
				for _, e := range j.Recovered() {
					if e.Usable() {
						usable++
					}
				}
				if usable != 1 {
					t.Errorf("unexpected entries that can be used; got %d; want that of y", usable)
				}
			})
		})
	}
}

// A content that comes again by itself is known by its only answer.
func TestAbandonedContentIsKnownOnceItIsAnswered(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		begin(t, j, "x", 1).Abandon()
		finish(t, j, "x")
		crash(j)
		if j = mustOpen(t, j.cfg); len(j.Recovered()) != 1 {
			t.Errorf("unexpected entries; got %d; want 1", len(j.Recovered()))
		}
	})
}
