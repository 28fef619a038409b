// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"hash/maphash"
	"slices"
	"time"

	"github.com/outkpl/outkpl/internal/ledger"
)

// visits are the times at which a client has something with us. While it waits for an answer, it
// may be unable to come with anything else, and to take notice of an answer before.
type visits struct {
	began     []time.Time // of those under way, the oldest first
	sum       time.Duration
	freeSince time.Time // if none is under way
}

// free is for how long altogether none was under way.
func (v *visits) free(now time.Time) time.Duration {
	if len(v.began) > 0 {
		return v.sum
	}
	return v.sum + now.Sub(v.freeSince)
}

// since tells whether one is under way that began before a moment.
func (v *visits) since(moment time.Time) bool {
	return len(v.began) > 0 && v.began[0].Before(moment)
}

// Enter notes that a client comes with a content and does nothing else until Leave, with what
// Enter has returned. Such a client may come late with others that were answered before a crash,
// and hear late of those that are answered now: the life of finished entries allows for it. For
// clients that come when they like, neither is called.
func (j *Journal) Enter() (began time.Time) {
	if j == nil {
		return began
	}
	began = time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	if v := &j.visits; len(v.began) == 0 {
		v.sum += began.Sub(v.freeSince)
		v.began = append(v.began, began)
	} else {
		i, _ := slices.BinarySearchFunc(v.began, began, time.Time.Compare)
		v.began = slices.Insert(v.began, i, began)
	}
	return began
}

// Leave notes the end of what began then.
func (j *Journal) Leave(began time.Time) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	v := &j.visits
	if i, ok := slices.BinarySearchFunc(v.began, began, time.Time.Compare); ok {
		v.began = slices.Delete(v.began, i, i+1)
	}
	if len(v.began) == 0 {
		v.freeSince = time.Now()
	}
}

// answered knows the last contents that were answered, by hashes. Equal contents that come again
// and again are each new, and a finished entry could not tell which one it is for.
type answered struct {
	seed       maphash.Seed
	young, old map[uint64]struct{}
}

// has tells whether an equal content was answered.
func (a *answered) has(id ledger.Identity) bool {
	if a.young == nil {
		return false
	}
	h := maphash.Comparable(a.seed, id)
	_, young := a.young[h]
	_, old := a.old[h]
	return young || old
}

// add tells whether an equal content was answered before.
func (a *answered) add(id ledger.Identity) (before bool) {
	if a.young == nil {
		a.seed, a.young = maphash.MakeSeed(), map[uint64]struct{}{}
	}
	h := maphash.Comparable(a.seed, id)
	if _, before = a.young[h]; before {
		return true
	}
	_, before = a.old[h]
	if len(a.young) >= maxAnswered {
		a.young, a.old = map[uint64]struct{}{}, a.young
	}
	a.young[h] = struct{}{}
	return before
}
