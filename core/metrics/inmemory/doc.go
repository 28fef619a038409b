// SPDX-License-Identifier: Apache-2.0

// Package inmemory keeps the metrics of a producer in memory, for tests and
// status pages: all of them since the start, and of each of the last 60 seconds,
// as the KPL's getMetrics has them.
//
//	sink := inmemory.New(inmemory.Config{})
//	producer, err := core.New(client, core.WithObserver(sink))
//	...
//	sink.Watch(producer)
//	...
//	lost := sink.Total(inmemory.Query{Metric: core.MetricUserRecordsPut})
//	fmt.Println(float64(lost.Count) - lost.Sum)
//
// Reading changes nothing: unlike in the KPL, whose windows are cut each time
// metrics are uploaded, sixty seconds are always sixty seconds.
//
// Memory is bounded by Config.MaxSeries for each second and for the total. There
// is no goroutine.
package inmemory
