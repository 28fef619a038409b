// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"maps"
	"slices"
	"time"
)

// The host gives its outputs a time to finish (grace), but its workers go through all
// chunks that wait for them even after it. While a stream cannot be reached each of those
// would take flush_timeout, so that the exit takes minutes, for answers that the host no
// longer hears. So once the host is stopping nothing is waited for that waits for a stream
// of which it is known that it confirms nothing: the chunk is answered with Retry, which
// keeps it in filesystem storage.

// lastWait is what Close waits for a producer that is known to reach nothing.
const lastWait = time.Second

// givenUp tells whether the host is stopping and a stream has confirmed nothing for
// longer than a flush may take, for another reason than its limits.
func (in *Instance) givenUp(stream string) bool {
	return in.stopping() && in.healthOf(stream).isDown(in.cfg.FlushTimeout)
}

// allDown tells whether there is a stream that confirms nothing, and none that may yet.
func (in *Instance) allDown() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	down := false
	for _, h := range append(slices.Collect(maps.Values(in.healths)), in.health) {
		if h.isDown(in.cfg.FlushTimeout) {
			down = true
		} else if !h.forgettable() {
			return false
		}
	}
	return down
}

func (in *Instance) stopping() bool { return in.hostStopping != nil && in.hostStopping() }
