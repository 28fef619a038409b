// SPDX-License-Identifier: Apache-2.0

package core

import "time"

// retryBudget keeps the retries of one stream from multiplying the load on a
// service that is degraded. Every Kinesis record that is stored earns the
// retry of one other, so retries are at most half of what is sent over any length
// of time. When nothing gets through, one call with retries may go every
// retryTrickle; once that is answered well, what it stored earns as much again,
// so the backlog of an outage goes out at a rate that doubles with each round trip.
// Nothing is given up: a record without budget waits. Throttled records are not
// counted here, for their shard's limiter paces them.
type retryBudget struct {
	credit float64 // retries of Kinesis records that are earned

	// The call that may be sent although nothing is earned.
	next         int64 // when
	opened       int64 // the moment at which it is being filled
	count, bytes int   // room left in it
}

const (
	// retryTrickle is the time between two calls with retries in an outage.
	retryTrickle = 500 * time.Millisecond
	// retryCredit bounds what is saved up beyond what waits already: one full
	// call. A sudden outage is met with that much and no more.
	retryCredit = maxRequestRecords
)

func newRetryBudget() retryBudget { return retryBudget{credit: retryCredit, opened: -1} }

// earnRetry counts a Kinesis record that was stored. waiting is how many wait for a retry.
func (b *retryBudget) earnRetry(waiting int) {
	b.credit = min(b.credit+1, float64(retryCredit+waiting))
}

// nextRetryDue returns the earliest moment for a retry.
func (b *retryBudget) nextRetryDue() int64 {
	if b.credit >= 1 {
		return 0
	}
	return b.next
}

// spendRetry reports whether a record of this size may be sent again now.
func (b *retryBudget) spendRetry(now int64, size int, cfg *config) bool {
	switch {
	case b.credit >= 1:
		b.credit--
	case b.opened == now && b.count > 0 && b.bytes >= size:
		b.count--
		b.bytes -= size
	case b.next <= now:
		b.next, b.opened = now+int64(retryTrickle), now
		b.count, b.bytes = cfg.collectionMaxCount-1, cfg.collectionMaxBytes-size
	default:
		return false
	}
	return true
}
