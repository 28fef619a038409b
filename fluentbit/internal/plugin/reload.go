// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/outkpl/outkpl/core/delivery"
)

// maxRetired bounds the outputs of which something is kept.
const maxRetired = 256

// Reloads keeps what the outputs of a process remember of chunks from their end to their
// next start. At a hot reload the host ends its outputs and starts them anew, but a Go library
// stays loaded, with all its memory. The zero value is ready.
type Reloads struct {
	mu      sync.Mutex // guards outputs
	outputs map[string]retired
}

type retired struct {
	fingerprint delivery.Fingerprint
	progress    *delivery.Progress
}

// put keeps what an output remembers.
func (h *Reloads) put(name string, fingerprint delivery.Fingerprint, p *delivery.Progress) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.outputs == nil {
		h.outputs = map[string]retired{}
	}
	if len(h.outputs) < maxRetired {
		h.outputs[name] = retired{fingerprint, p}
	}
}

// take returns what the last output of that name remembered, nil if that is nothing. What
// was made with other options is let go.
func (h *Reloads) take(name string, fingerprint delivery.Fingerprint, log *slog.Logger) *delivery.Progress {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept, known := h.outputs[name]
	delete(h.outputs, name)
	switch {
	case !known:
		return nil
	case kept.fingerprint != fingerprint:
		log.Warn("chunks that were delivered in part before the reload are sent whole and may be written twice, since other options shape records now", "chunks", kept.progress.Len())
		return nil
	}
	log.Info("chunks that were delivered in part before the reload are continued", "chunks", kept.progress.Len())
	return kept.progress
}

// Retire keeps what is remembered of chunks for the next output of the same name in this
// process. It is called after Close and the last Flush.
func (in *Instance) Retire() {
	if in.reloads == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			in.log.Error("cannot keep what is known of chunks over a reload by a mistake in the plugin, they are sent whole; please report this",
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	if p := in.deliverer.Retire(); p != nil {
		in.reloads.put(in.name, in.fingerprint, p)
	}
}
