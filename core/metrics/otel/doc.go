// SPDX-License-Identifier: Apache-2.0

// Package otel reports the metrics of a producer through the metrics API of
// OpenTelemetry, to whatever MeterProvider the program has.
//
//	sink, err := otel.New(meterProvider, otel.Config{})
//	...
//	producer, err := core.New(client, core.WithObserver(sink))
//	...
//	sink.Watch(producer)
//	...
//	err = producer.Close(ctx)
//	err = sink.Close(ctx) // before the MeterProvider is shut down
//
// Names are those of the KPL in snake case after "kpl.", units are seconds, bytes
// and annotated counts. Attributes are stream, shard and code (the error code),
// and result where the KPL counts successes as 1 and failures as 0. An exporter
// for Prometheus makes the names of package prometheus of them.
//
// Counters are added up as data points come. Distributions are histograms of all
// data points. The API takes them one by one, at 150 to 300 ns each (see
// BenchmarkObserve): at ten thousand user records a second that is nothing, at a
// million half a processor. Equal points come in runs; of a run, Config.MaxRun
// points are recorded at most, and what is left out is counted by
// kpl.histogram_points_omitted. Histograms is the way around the API for programs
// with much to do: all points, at next to no cost, as exponential histograms.
//
// Gauges are observed when the SDK collects. Close unregisters the callback.
package otel
