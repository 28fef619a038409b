// SPDX-License-Identifier: Apache-2.0

package core

// holding reports whether records must wait, because it is not known yet which
// shards the stream has and whether it may get aggregates.
func (pl *pipeline) holding() bool {
	if pl.missing != nil {
		return false
	}
	return !pl.facts.known || pl.stale || pl.shardMap.Load() == nil && !pl.unaggregated
}

// heldUntil returns when records go although the map or the facts are missing.
func (pl *pipeline) heldUntil() int64 {
	if pl.facts.known && pl.shardMap.Load() != nil {
		return pl.heldSince + int64(staleGrace)
	}
	return pl.heldSince + int64(startupGrace)
}

// releaseHeld routes the records that waited for the shard map and the facts.
func (pl *pipeline) releaseHeld() {
	if pl.holding() || len(pl.held) == 0 {
		return
	}
	list := pl.held
	pl.held, pl.heldExpires = nil, 0
	for _, it := range list {
		pl.route(it)
	}
}
