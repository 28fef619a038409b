// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/option/table"
)

// checker is a Producer that can look whether a stream can be written to.
type checker interface {
	Check(ctx context.Context, stream string) error
}

// startCheck does what startup_check says. The error is for a start that must not
// go on: a failure that may pass by itself is none, since the host would end for it.
func (in *Instance) startCheck() error {
	c, ok := in.producer.(checker)
	if !ok || in.cfg.StartupCheck == table.CheckOff || in.cfg.event.Stream != "" {
		return nil
	}
	if in.cfg.StartupCheck == table.CheckWarn {
		ctx, cancel := context.WithCancel(context.Background())
		in.stopCheck = cancel
		in.work.Go(func() {
			defer cancel()
			_ = in.check(ctx, c)
		})
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*in.cfg.RequestTimeout)
	defer cancel()
	return in.check(ctx, c)
}

// check logs what is wrong and returns what will not pass by itself.
func (in *Instance) check(ctx context.Context, c checker) error {
	err := c.Check(ctx, in.cfg.Stream)
	if err == nil {
		in.log.Info("checked: the stream can be written to", "stream", in.cfg.Stream)
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil // the instance is being closed
	}
	var fatal []error
	for _, e := range option.Split(err) {
		in.log.Warn("startup check: " + e.Error())
		var p *core.CheckError
		if errors.As(e, &p) && !p.Temporary && !p.Optional {
			fatal = append(fatal, e)
		}
	}
	if len(fatal) > 0 {
		return fmt.Errorf("startup_check: %q: %w", table.CheckRequire, errors.Join(fatal...))
	}
	return nil
}
