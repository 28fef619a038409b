// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"

	"github.com/outkpl/outkpl/core"
)

// Source has gauges to read. *core.Producer is one.
type Source interface{ Snapshot() core.Snapshot }

// Sink is where metrics go. Every package below this one makes one. It is the
// observer of any number of producers:
//
//	producer, err := core.New(client, core.WithObserver(sink))
//	...
//	sink.Watch(producer)
type Sink interface {
	core.Observer
	// Watch adds the gauges of a source. They are read for as long as the sink
	// is open. Gauges of the same series are folded, see Gauges.
	Watch(Source)
	// Close reports what is left and releases what the sink holds, within the
	// context's time. Close producers first. What is observed afterwards is
	// lost. A second Close does nothing.
	Close(ctx context.Context) error
}

// Tee gives everything to each of the sinks.
func Tee(sinks ...Sink) Sink { return tee(sinks) }

type tee []Sink

func (t tee) Observe(list []core.Observation) {
	for _, s := range t {
		s.Observe(list)
	}
}

func (t tee) Watch(src Source) {
	for _, s := range t {
		s.Watch(src)
	}
}

func (t tee) Close(ctx context.Context) error {
	var errs []error
	for _, s := range t {
		errs = append(errs, s.Close(ctx))
	}
	return errors.Join(errs...)
}
