// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"log/slog"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// checkStreams asks Kinesis about every stream that the configuration names, and logs
// what it finds. The error holds what cannot pass by itself and is needed.
func checkStreams(ctx context.Context, cfg *config.Config, producer *core.Producer, log *slog.Logger) error {
	var fatal []error
	for _, stream := range namedStreams(cfg) {
		err := producer.Check(ctx, stream)
		if ctx.Err() != nil {
			break
		}
		for _, one := range option.Split(err) {
			var c *core.CheckError
			if errors.As(one, &c) && (c.Temporary || c.Optional) {
				log.Warn("check of a stream", "stream", stream, "problem", one)
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
