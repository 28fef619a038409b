// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/delivery"
)

func TestGather(t *testing.T) {
	// crowd makes n flushes at one time known.
	crowd := func(g *gather, n int) {
		for range n {
			g.enter()
		}
		for range n {
			g.leave(new(delivery.Delivery))
		}
	}
	lone := func(t *testing.T, g *gather) time.Duration {
		begun := time.Now()
		f := new(delivery.Delivery)
		g.enter()
		defer g.leave(f)
		g.linger(t.Context(), f)
		return time.Since(begun)
	}
	t.Run("one flush at a time waits for nobody", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var g gather
			for range 5 {
				if took := lone(t, &g); took != 0 {
					t.Errorf("unexpected wait; got %v; want none", took)
				}
			}
		})
	})
	t.Run("a crowd goes on together as soon as it is complete", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var g gather
			crowd(&g, 4)
			begun := time.Now()
			var work sync.WaitGroup
			for i := range 4 {
				work.Go(func() {
					time.Sleep(time.Duration(i) * time.Millisecond) // fake time
					f := new(delivery.Delivery)
					g.enter()
					defer g.leave(f)
					g.linger(t.Context(), f)
					if at := time.Since(begun); at != 3*time.Millisecond {
						t.Errorf("unexpected end of the wait; got %v; want that of the last arrival, 3 ms", at)
					}
				})
			}
			work.Wait()
		})
	})
	t.Run("a flush that does not come is waited for once, and not any more after 2 s", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var g gather
			crowd(&g, 2)
			if took := lone(t, &g); took != maxLinger {
				t.Errorf("unexpected wait; got %v; want %v", took, maxLinger)
			}
			time.Sleep(2 * crowdMemory) // fake time
			if took := lone(t, &g); took != 0 {
				t.Errorf("unexpected wait; got %v; want none", took)
			}
			if g.active != 0 || g.ready != 0 || len(g.gone) != 0 {
				t.Errorf("unexpected counts; got %d active, %d ready, %d gone; want 0", g.active, g.ready, len(g.gone))
			}
		})
	})
	t.Run("nobody waits for a flush that is stuck", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var g gather
			stuck := new(delivery.Delivery)
			g.enter()
			g.linger(t.Context(), stuck)
			if took := lone(t, &g); took != maxLinger { // its answer may come at any moment
				t.Errorf("unexpected wait; got %v; want %v", took, maxLinger)
			}
			time.Sleep(maxLinger) // fake time
			if took := lone(t, &g); took != 0 {
				t.Errorf("unexpected wait; got %v; want none", took)
			}
			g.leave(stuck)
		})
	})
}
