// SPDX-License-Identifier: Apache-2.0

package core

import (
	"log/slog"
	"math"
	"time"

	"github.com/outkpl/outkpl/internal/pace"
	"github.com/outkpl/outkpl/internal/remedy"
)

// A shard without room is no failure: records wait for it, and come in. If that lasts, the
// stream is too small for what is written to it, and nothing else says so: the adaptive share
// keeps the shard from throttling.
const (
	// fullFrom is the share of its limit in use from which a shard has no room.
	fullFrom = 0.9
	// A shortage that lasts is looked for capacityEvery, and logged after capacityGrace and
	// then each capacityAgain.
	capacityEvery = 5 * time.Second
	capacityGrace = 10 * time.Second
	capacityAgain = time.Minute
	// The shards that would do take the present rate at targetUse of their capacity, and
	// what waits within drainTime.
	targetUse = 0.8
	drainTime = 10 // s
)

// shortage is a time in which shards have no room.
type shortage struct {
	due    int64 // when to look again
	since  int64 // 0: there is none
	logged int64 // when it was logged, 0: it was not
}

// capacity is how much of a stream's shards is in use.
type capacity struct {
	inUse   float64       // the most of a shard's limit
	backlog time.Duration // the longest that a shard needs for what waits
	needed  int           // shards that would do
	full    int           // shards without room
	fullest string
	queued  int // bytes that wait
	waiting bool
}

// capacityOf sums up the shards. ceiling is what the settings allow of a shard.
func capacityOf(list []ShardSnapshot, ceiling float64) (c capacity) {
	demand, most := 0.0, min(ceiling, 1)
	for i := range list {
		s := &list[i]
		if s.InUse > c.inUse || c.fullest == "" {
			c.inUse, c.fullest = s.InUse, s.ID
		}
		c.backlog = max(c.backlog, s.Backlog)
		c.queued += s.QueuedBytes
		if s.InUse >= fullFrom {
			c.full++
			c.waiting = c.waiting || s.QueuedRecords > 0
		}
		// What the share leaves out of the limit is in use by others.
		demand += s.InUse*min(s.Share, most) + max(most-s.Share, 0) + float64(s.QueuedBytes)/drainTime/pace.ShardBytes
	}
	if len(list) > 0 {
		c.needed = max(int(math.Ceil(demand/(most*targetUse))), 1)
		if c.full > 0 && c.waiting {
			c.needed = max(c.needed, len(list)+1)
		}
	}
	return c
}

// reviewCapacity logs a lack of capacity that lasts, and its end. Called with the lock held.
func (pl *pipeline) reviewCapacity() {
	s := &pl.shortage
	s.due = pl.now + int64(capacityEvery)
	m := pl.shardMap.Load()
	if m == nil {
		*s = shortage{due: s.due}
		return
	}
	list := make([]ShardSnapshot, 0, len(m.ring))
	for _, a := range m.ring {
		list = append(list, a.shard.shardSnapshot(pl.now))
	}
	c := capacityOf(list, pl.cfg.pace.Ceiling())
	switch {
	case c.full == 0:
		if s.logged != 0 {
			pl.log(slog.LevelInfo, "the shards have room again", "after", time.Duration(pl.now-s.since).Round(time.Second))
		}
		s.since, s.logged = 0, 0
	case s.since == 0:
		if c.waiting {
			s.since = max(pl.now, 1)
		}
	case c.waiting && pl.now-s.since >= int64(capacityGrace) && (s.logged == 0 || pl.now-s.logged >= int64(capacityAgain)):
		s.logged = pl.now
		r := remedy.Of(remedy.Capacity)
		if pl.cfg.pace.Ceiling() < 1 {
			r = remedy.Of(remedy.OwnLimit)
		}
		pl.log(slog.LevelWarn, "records wait for the capacity of the shards", "shards", len(list), "full", c.full, "fullest", c.fullest,
			"in_use", math.Round(c.inUse*100)/100, "waiting_bytes", c.queued, "backlog", c.backlog.Round(100*time.Millisecond),
			"shards_that_would_do", c.needed, "cause", r.Cause, "advice", r.Advice(pl.cfg.names, actionPut), "next", "nothing is lost")
	}
}
