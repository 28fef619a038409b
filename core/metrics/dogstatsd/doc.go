// SPDX-License-Identifier: Apache-2.0

// Package dogstatsd sends the metrics of a producer to a Datadog Agent.
//
//	sink, err := dogstatsd.New(dogstatsd.Config{Address: "unix:///var/run/datadog/dsd.socket"})
//	...
//	producer, err := core.New(client, core.WithObserver(sink))
//	...
//	sink.Watch(producer)
//	...
//	err = producer.Close(ctx)
//	err = sink.Close(ctx) // sends what is left
//
// Names are those of the KPL in snake case after "kpl.", units those of the KPL.
// Tags are stream, shard and error_code, and result where the KPL counts successes
// as 1 and failures as 0.
//
// Data points are summed up here and sent every two seconds. Distributions keep
// each data point: a bucket of n values near v is sent as v with the sample rate
// 1/n, which the Agent counts n times. The client passes such rates on unchanged
// only by statsd.ClientDirect, which its authors call experimental; Client is the
// narrow interface that is needed of it.
//
// One goroutine sends. A producer never waits for it. Datagrams that the Agent
// does not take are lost, as always with DogStatsD.
package dogstatsd
