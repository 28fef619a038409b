// SPDX-License-Identifier: Apache-2.0

// Package prometheus shows the metrics of a producer to Prometheus.
//
//	sink, err := prometheus.New(registry, prometheus.Config{})
//	...
//	producer, err := core.New(client, core.WithObserver(sink))
//	...
//	sink.Watch(producer) // the gauges
//	...
//	err = producer.Close(ctx)
//	err = sink.Close(ctx) // takes the metrics off the registry
//
// Names begin with kpl_ and are in snake case, units are seconds, bytes and
// ratios, counters end in _total. Labels are stream, shard and code (the error
// code), down to the granularity asked for, and result where the KPL counts
// successes as 1 and failures as 0. Counters carry the time they were created.
//
// Distributions are histograms, with classic buckets for every scraper and with
// native ones (schema 3, eight buckets for each power of two) for servers that
// take them. They count each user record, at a cost that grows with runs of
// equal points only: a client's own Histogram has to be called for each point.
//
// Gauges are read from the producers at each scrape. Two producers behind one
// sink that write to the same stream show as one series, see metrics.Gauges.
//
// What the labels can take is bounded (Config.MaxSeries, MaxStreams); what is
// beyond is summed up under the stream "(other)". At the bound, series that
// nothing was observed of for an hour make room, as shards do that have ended.
package prometheus
