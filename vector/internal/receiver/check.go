// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"log/slog"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/remedy"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// credentialChecker says why there are no credentials, nil if there are.
type credentialChecker interface {
	CheckCredentials(ctx context.Context) error
}

// checkStreams asks Kinesis about every stream that the configuration names, and logs
// what it finds. The error holds what cannot pass by itself and is needed.
//
// Where no stream is named, only requests name them, and the credentials alone are looked at.
func checkStreams(ctx context.Context, cfg *config.Config, credentials credentialChecker, producer *core.Producer, log *slog.Logger) error {
	var fatal []error
	streams := namedStreams(cfg)
	if len(streams) == 0 {
		if err := credentials.CheckCredentials(ctx); err != nil && ctx.Err() == nil {
			r := remedy.Find("NoCredentials", err.Error(), err)
			log.Warn("check of the credentials", "problem", r.Cause, "advice", r.Advice(remedy.Receiver, ""), "detail", err, "next", "trying again with each request")
		}
		return nil
	}
	for i, stream := range streams {
		err := producer.Check(ctx, stream)
		if ctx.Err() != nil {
			break
		}
		for _, one := range option.Split(err) {
			var c *core.CheckError
			if errors.As(one, &c) && (c.Temporary || c.Optional) {
				args := []any{"stream", stream, "problem", one}
				others := c.Unreachable && i+1 < len(streams)
				if others {
					args = append(args, "not_checked", len(streams)-i-1) // they would end likewise
				}
				log.Warn("check of a stream", args...)
				if others {
					return errors.Join(fatal...)
				}
				continue
			}
			log.Error("check of a stream", "stream", stream, "problem", one)
			fatal = append(fatal, one)
		}
		if err == nil {
			log.Info("check of a stream", "stream", stream, "problem", "none")
		}
	}
	return errors.Join(fatal...)
}

// namedStreams lists the streams that the configuration names, each once.
func namedStreams(cfg *config.Config) []string {
	var list []string
	seen := map[string]bool{"": true}
	add := func(s string) {
		if !seen[s] {
			seen[s] = true
			list = append(list, s)
		}
	}
	add(cfg.Route.Stream)
	for i := range cfg.Routes {
		add(cfg.Routes[i].Stream)
	}
	add(cfg.DeadLetter.Stream)
	return list
}
