// SPDX-License-Identifier: Apache-2.0

// Package plugin is the Fluent Bit output without Fluent Bit: options, flush,
// retry memory. It knows nothing of cgo, so all of it is tested as plain Go.
//
//	cfg, err := plugin.ParseConfig(plugin.MapConfig{"stream": "logs", "region": "eu-west-1"}, os.Getenv)
//	...
//	instance, err := plugin.New(cfg, plugin.Deps{Logger: logger})
//	...
//	switch instance.Flush(tag, chunk) {
//	case plugin.OK: // every record is in Kinesis or in the dead letter file, or dropped as configured
//	case plugin.Retry: // pass the same bytes again, later
//	case plugin.Error: // part of the chunk can never be delivered and is kept nowhere; all else is in Kinesis
//	}
//	...
//	err = instance.Close(ctx)
//
// # Guarantees
//
// OK means that Kinesis has confirmed every record of the chunk, save those that
// went to the dead letter file and are safe there, and those that an option says
// to drop. Nothing is acknowledged early. A record that can never be accepted (too
// large, invalid), an event without a stream, and an end of a chunk that cannot be
// read make the answer Error, unless the dead letter file has them. A broken event of
// which the end is known does not: the host would count the whole chunk as
// dropped. All of these are counted and logged by number and size, never with their
// content.
//
// After Retry, a second delivery of the same bytes under the same tag sends only
// what is not confirmed yet. What is needed for that is kept in memory, bounded by
// count, bytes and age; when it is lost, delivery is at least once. With a template
// for the stream, each stream of a chunk goes on by itself.
//
// A flush takes no longer than Config.FlushTimeout plus the time to decode its
// chunk and to write to the dead letter file.
//
// # Limits
//
// No order is promised between chunks, unless the option ordering is strict and the
// host hands them over one by one. Events without a partition key have none.
package plugin
