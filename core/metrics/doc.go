// SPDX-License-Identifier: Apache-2.0

// Package metrics is what sinks of a producer's metrics have in common. The sinks
// are packages below this one: prometheus, otel, cloudwatch, dogstatsd and
// inmemory. Each needs its own client library and no other; this package needs
// core only.
//
//	sink, err := prometheus.New(registry, prometheus.Config{})
//	...
//	producer, err := core.New(client, core.WithObserver(sink)) // counters, distributions
//	...
//	sink.Watch(producer) // gauges
//	...
//	err = producer.Close(ctx) // first the producer,
//	err = sink.Close(ctx)     // then the sink
//
// Tee makes one sink of several. Config is the level and the granularity of what
// is reported, as the KPL has them. docs/metrics.md lists all metrics and their
// names in each sink.
//
// For sinks of your own there are Window (sums by series, for sinks that report from
// time to time), Gauges and Sources.
//
// # Guarantees
//
//   - A producer never waits for a sink's network or disk. Observing takes a few
//     nanoseconds a user record and allocates nothing, but in package otel, see there.
//   - Each data point is in exactly one window.
//   - The number of series is bounded. What is beyond the bound is summed up under
//     the stream Overflow, so totals stay right.
//
// # Limits
//
//   - Metrics are kept in memory only: what was not reported is lost with the process.
//   - Values of distributions are kept to within 9 %; counts, sums, minima and maxima
//     exactly.
package metrics
