// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/option/table"
	"github.com/outkpl/outkpl/internal/remedy"
)

// checker is a Producer that can look whether a stream can be written to.
type checker interface {
	Check(ctx context.Context, stream string) error
}

// credentialChecker is a Producer that can say why there are no credentials.
type credentialChecker interface {
	CheckCredentials(ctx context.Context) error
}

// startCheck does what startup_check says. The error is for a start that must not
// go on: a failure that may pass by itself is none, since the host would end for it.
func (in *Instance) startCheck() error {
	c, ok := in.producer.(checker)
	if !ok || in.cfg.StartupCheck == table.CheckOff {
		return nil
	}
	if in.cfg.event.Stream != "" {
		in.startCredentialCheck()
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

// startCredentialCheck looks at what can be looked at before a template has named a stream.
func (in *Instance) startCredentialCheck() {
	c, ok := in.producer.(credentialChecker)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	in.stopCheck = cancel
	in.work.Go(func() {
		defer cancel()
		if err := c.CheckCredentials(ctx); err != nil && ctx.Err() == nil {
			r := remedy.Find("NoCredentials", err.Error(), err)
			in.log.Warn("startup check: "+r.Cause, "advice", r.Advice(remedy.Plugin, ""), "detail", err, "next", "trying again with each flush")
		}
	})
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
