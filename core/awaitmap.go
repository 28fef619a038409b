// SPDX-License-Identifier: Apache-2.0

package core

import "slices"

// awaiting are the records that wait for the first shard map and the stream's metadata.
type awaiting struct {
	items   []*item
	expires int64 // when the first of them does, 0 for never
	since   int64 // since when records may have to wait
}

// keepAwaiting keeps an item until the map and the metadata are here.
func (a *awaiting) keepAwaiting(it *item) {
	a.items = append(a.items, it)
	a.expires = earlier(a.expires, it.batch.expires)
}

// keepAwaitingFirst is keepAwaiting for items that go before all others.
func (a *awaiting) keepAwaitingFirst(items []*item) {
	a.items = append(slices.Clone(items), a.items...)
	for _, it := range items {
		a.expires = earlier(a.expires, it.batch.expires)
	}
}

// takeAwaiting takes all items out.
func (a *awaiting) takeAwaiting() []*item {
	list := a.items
	a.items, a.expires = nil, 0
	return list
}

// awaitsMap reports whether records must wait, because it is not known yet which
// shards the stream has and whether it may get aggregates.
func (pl *pipeline) awaitsMap() bool {
	if pl.meta.missing != nil {
		return false
	}
	return !pl.meta.known || pl.shards.stale || pl.shardMap.Load() == nil && !pl.shards.unavailable
}

// awaitsUntil returns when records are sent although the map or the metadata are missing.
func (pl *pipeline) awaitsUntil() int64 {
	if pl.meta.known && pl.shardMap.Load() != nil {
		return pl.awaiting.since + int64(staleGrace)
	}
	return pl.awaiting.since + int64(startupGrace)
}

// releaseAwaiting routes the records that waited for the shard map and the metadata.
func (pl *pipeline) releaseAwaiting() {
	if pl.awaitsMap() || len(pl.awaiting.items) == 0 {
		return
	}
	for _, it := range pl.awaiting.takeAwaiting() {
		pl.route(it)
	}
}
