// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/outkpl/outkpl/core/deadletter"
)

// sink is the configured sink with the time and the error that a Deliverer gives to it.
type sink struct {
	deadletter.Sink // may be nil
	grace           time.Duration
}

// Write implements deadletter.Sink.
func (s *sink) Write(ctx context.Context, entries []deadletter.Entry) error {
	if s.Sink == nil {
		return errNoSink
	}
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(context.WithoutCancel(ctx), end.Add(s.grace))
		defer cancel()
	}
	return s.Sink.Write(ctx, entries)
}

var errNoSink = errors.New("cannot write dead letters: there is no place for them")
