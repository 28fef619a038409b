// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"strings"

	"github.com/outkpl/outkpl/core"
)

// ownRecords tells whether each record of a stream, "" for the configured one, is a
// Kinesis record of its own. It is asked once for each chunk and stream, if events are
// combined.
func (in *Instance) ownRecords(stream string) bool {
	if !in.cfg.Aggregation {
		return true
	}
	p, ok := in.producer.(interface {
		Stats() core.Stats
		Snapshot() core.Snapshot
	})
	if !ok || p.Stats().AutoStreams == 0 {
		return false // a snapshot of all shards costs more
	}
	_, name, _ := strings.Cut(cmp.Or(stream, in.cfg.Stream), ":stream/")
	name = cmp.Or(name, stream, in.cfg.Stream)
	for _, s := range p.Snapshot().Streams {
		if s.Stream == name && s.Auto {
			return true
		}
	}
	return false
}
