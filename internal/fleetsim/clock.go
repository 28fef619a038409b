// SPDX-License-Identifier: Apache-2.0

package main

import "container/heap"

// second is the unit in which the simulated clock's nanoseconds are read.
const second = int64(1e9)

// clock runs events in the order of their times, and of their making at equal
// times, so that a run depends on its seed only.
type clock struct {
	now    int64
	made   int64
	events eventHeap
}

type event struct {
	at, seq int64
	do      func()
}

func (c *clock) at(t int64, do func()) {
	c.made++
	heap.Push(&c.events, event{at: max(t, c.now), seq: c.made, do: do})
}

// run works until the time has come and leaves later events for another run.
func (c *clock) run(until int64) {
	for len(c.events) > 0 && c.events[0].at < until {
		e := heap.Pop(&c.events).(event)
		c.now = e.at
		e.do()
	}
	c.now = until
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return e
}
