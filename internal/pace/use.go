// SPDX-License-Identifier: Apache-2.0

package pace

import "time"

// useWindow is over how long it is counted how much of a shard's limit is in use. The last
// part of such a window and the one before it make the answer.
const useWindow = 3 * time.Second

// use is apart from the Shard, which has to be small. It counts for how long the limit was in use: the
// nanoseconds that what was taken takes to come back, for records and bytes alone. A rest after a
// throttle counts for both.
type use struct {
	since       int64 // of all windows
	began       int64 // of the present one
	now, before struct{ records, bytes float32 }
	periods     periods
}

func (u *use) pass(now int64) {
	switch d := now - u.began; {
	case d < int64(useWindow):
	case d < 2*int64(useWindow):
		u.began, u.before = u.began+int64(useWindow), u.now
		u.now.records, u.now.bytes = 0, 0
	default:
		u.began = now
		u.now.records, u.now.bytes, u.before.records, u.before.bytes = 0, 0, 0, 0
	}
}

func (u *use) add(records, bytes float64) {
	u.now.records += float32(records)
	u.now.bytes += float32(bytes)
}

// InUse returns how much of the shard's present limit was in use in the last seconds, from 0
// to 1: that of records or that of bytes, whichever is more. A limit that adapts leaves out
// what others use of the shard, so 1 is a shard that has no room left.
func (s *Shard) InUse(now int64) float64 {
	s.refill(now)
	u := s.share.use
	u.pass(now)
	rest := 1 - float32(now-u.began)/float32(useWindow) // of the window before
	used := max(u.now.records+rest*u.before.records, u.now.bytes+rest*u.before.bytes)
	over := min(float64(useWindow), max(float64(now-u.since), float64(time.Second)))
	return min(max(float64(used)/over, 0), 1)
}

// Ceiling returns the share of the shard's capacity that the limits allow at most.
func (l *Limits) Ceiling() float64 { return l.ceiling() }
