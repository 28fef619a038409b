// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"

	"github.com/outkpl/outkpl/internal/pace"
)

// writer is one producer at one shard: a queue, the real limiter, and a
// network. It does what core/limit.go does around the limiter.
type writer struct {
	c     *clock
	rng   *rand.Rand
	to    *shard
	pace  pace.Shard
	fixed bool // an outside writer that knows nothing: no limiter, no retry
	kpl   bool // an outside writer that keeps to its rate and sends again, whatever is refused

	size    int // of its Kinesis records
	backlog bool
	queued  int
	fault   func() bool // throttles that do not follow the rate, nil for none
	wakeAt  int64       // 0 if no wake is arranged
	trip    int64       // mean time of a call

	stored, refused float64 // Kinesis records
}

// wakeQuantum is the producer's.
const wakeQuantum = int64(10e6)

func (w *writer) admit() {
	n := 0
	var wait int64
	for w.backlog || w.queued > 0 {
		if w.fixed {
			wait = 0
		} else if wait = w.pace.Wait(w.c.now, w.size); wait > 0 {
			break
		} else {
			w.pace.Take(w.size)
		}
		n++
		if w.queued > 0 {
			w.queued--
		}
	}
	if n > 0 {
		w.send(n)
	}
	if wait > 0 {
		at := (w.c.now + wait + wakeQuantum - 1) / wakeQuantum * wakeQuantum
		if w.wakeAt == 0 || at < w.wakeAt {
			w.wakeAt = at
			w.c.at(at, func() {
				if w.wakeAt == at {
					w.wakeAt = 0
					w.admit()
				}
			})
		}
	}
}

// send makes one call with n records.
func (w *writer) send(n int) {
	sent := w.c.now
	there := int64(float64(w.trip) * (0.25 + 0.5*w.rng.Float64()))
	back := int64(float64(w.trip) * (0.25 + 0.5*w.rng.Float64()))
	w.c.at(sent+there, func() {
		ok := 0
		for range n {
			if w.fault != nil && w.fault() {
				continue
			}
			if w.to.take(w.c.now, w.size) {
				ok++
			}
		}
		w.c.at(w.c.now+back, func() {
			w.stored += float64(ok)
			w.refused += float64(n - ok)
			if w.fixed {
				return
			}
			for range n - ok {
				if !w.backlog {
					w.queued++
				}
				if !w.kpl {
					w.pace.Refused(w.c.now, sent, w.rng.Float64())
				}
			}
			for range ok {
				w.pace.Stored(sent)
			}
			w.admit()
		})
	})
}

// jain is Jain's index of fairness: 1 if all have the same, 1/n if one has all.
func jain(x []float64) float64 {
	var sum, squares float64
	for _, v := range x {
		sum += v
		squares += v * v
	}
	if squares == 0 {
		return 1
	}
	return sum * sum / (float64(len(x)) * squares)
}
