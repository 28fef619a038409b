// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"slices"
	"time"
)

// armSweeper is called with mu held.
func (j *Journal) armSweeper() {
	if j.sweeper != nil || j.closed || len(j.finished)+len(j.relics) == 0 {
		return
	}
	wait := finishedLife
	if len(j.finished) > 0 {
		wait = finishedLife - sweepEvery - time.Since(j.finished[0].since)
	}
	if len(j.relics) > 0 {
		wait = min(wait, finishedLife-j.visits.free(time.Now()))
	}
	j.sweeper = time.AfterFunc(max(wait, sweepEvery/2), j.sweep)
}

// sweep ends entries that were finished a while ago, and empties a file of which nothing is
// left.
func (j *Journal) sweep() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sweeper = nil
	if j.closed {
		return
	}
	n := 0
	for n < len(j.finished) && time.Since(j.finished[n].since) >= finishedLife-sweepEvery && !j.visits.since(j.finished[n].since.Add(sweepEvery)) {
		n++
	}
	j.endAll(j.finished[:n])
	j.finished = slices.Delete(j.finished, 0, n)
	var over []*Entry
	j.relics = slices.DeleteFunc(j.relics, func(e *Entry) bool {
		if e.fresh() {
			return false
		}
		over = append(over, e)
		return true
	})
	j.endAll(over)
	if len(j.entries) == 0 && len(j.calls) == 0 && j.failed == nil && j.size > int64(headerBytes) {
		if err := j.f.Truncate(int64(headerBytes)); err != nil {
			j.fail(err)
		} else {
			j.size = int64(headerBytes)
		}
	}
	j.armSweeper()
}
