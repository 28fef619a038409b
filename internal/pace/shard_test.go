// SPDX-License-Identifier: Apache-2.0

package pace_test

import (
	"math"
	"testing"

	"github.com/outkpl/outkpl/internal/pace"
)

func TestFixedRateTriesNothing(t *testing.T) {
	var s pace.Shard
	s.Init(limits(false), 0)
	block(&s, 0, 1, aStored, aRefused, aSize)
	hungry(&s, 2, 3)
	store(&s, 4, 1, aSize)
	if got := s.Share(); got != 1 {
		t.Errorf("unexpected share; got %v; want 1", got)
	}
}

func TestEstimateIsThatOfTheLastRecord(t *testing.T) {
	l := limits(false)
	l.Bytes = 1000
	var s pace.Shard
	s.Init(l, 0) // 250 bytes
	for _, c := range []struct {
		records, size int
		want          float64
	}{{1, 250, 0}, {1, 1250, 1}, {1250, 1, 1}, {0, 0, 0}} {
		if got := float64(s.Estimate(0, c.records, c.size)) / 1e9; math.Abs(got-c.want) > 1e-6 {
			t.Errorf("unexpected estimate for %d records, %d bytes; got %v s; want %v", c.records, c.size, got, c.want)
		}
	}
	s.Rest(5 * second)
	s.Rest(2 * second)
	if got := s.Estimate(second, 1, 1); got != 4*second || s.Wait(second, 1) != got {
		t.Errorf("unexpected estimate at rest; got %v; want 4 s", got)
	}
}

func TestBytesThatWereNotSentAreGivenBack(t *testing.T) {
	var s pace.Shard
	s.Init(limits(false), 0)
	records, bytes := s.Tokens(0)
	s.Take(500)
	s.Return(300)
	if r, b := s.Tokens(0); r != records-1 || b != bytes-200 {
		t.Errorf("unexpected tokens; got %v, %v; want %v, %v", r, b, records-1, bytes-200)
	}
}

func TestTimeThatGoesBackGivesNothing(t *testing.T) {
	var s pace.Shard
	s.Init(limits(false), second)
	s.Take(1 << 20)
	_, before := s.Tokens(second)
	for _, at := range []int64{0, second} {
		if _, got := s.Tokens(at); got != before {
			t.Errorf("unexpected tokens; got %v; want %v", got, before)
		}
	}
}
