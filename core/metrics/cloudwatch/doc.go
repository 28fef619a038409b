// SPDX-License-Identifier: Apache-2.0

// Package cloudwatch sends the metrics of a producer to CloudWatch, under the
// names, units, dimensions and the namespace of the KPL, so that dashboards and
// alarms made for the KPL go on working.
//
//	sink, err := cloudwatch.New(awscloudwatch.NewFromConfig(cfg), cloudwatch.Config{})
//	...
//	producer, err := core.New(client, core.WithObserver(sink))
//	...
//	sink.Watch(producer)
//	...
//	err = producer.Close(ctx)
//	err = sink.Close(ctx) // uploads what is left
//
// As in the KPL each series is a path (global dimensions, ErrorCode for
// ErrorsByCode, StreamName, stream dimensions, ShardId, shard dimensions), and
// each beginning of it is a series as well: the sums over shards, streams and
// codes need no expression. CloudWatch bills each series (PutMetricData,
// custom metrics): with many shards use core.GranularityStream.
//
// Counters go as statistic sets, distributions as up to 150 values with counts,
// so that percentiles can be asked for; the KPL's cannot. Gauges are sampled once
// a second (the KPL's UserRecordsPending: each 200 ms) and go as statistic sets.
//
// One goroutine uploads, once a minute by default. A producer never waits for it.
// An upload that fails is tried again with the next one, with its own time stamp;
// after Config.MaxPending uploads the oldest are summed up. If the reply to an
// upload is lost, what it carried may be counted twice. What CloudWatch refuses as
// invalid is dropped, alone, with a log line.
//
// The client needs the IAM action cloudwatch:PutMetricData.
package cloudwatch
