// SPDX-License-Identifier: Apache-2.0

// Package plugin is the Fluent Bit output without Fluent Bit: options, flush,
// retry memory. It knows nothing of cgo, so all of it is tested as plain Go.
//
//	cfg, err := plugin.ParseConfig(plugin.MapConfig{"stream": "logs", "region": "eu-west-1"}, os.Getenv)
//	...
//	instance, err := plugin.New(cfg, plugin.Deps{Logger: logger})
//	...
//	switch instance.Flush(tag, chunk) {
//	case plugin.OK: // every record is in Kinesis, or was refused for good and logged
//	case plugin.Retry: // hand over the same bytes again, later
//	case plugin.Error: // part of the bytes is no event; all else is in Kinesis
//	}
//	...
//	err = instance.Close(ctx)
//
// # Guarantees
//
// OK means that Kinesis has confirmed every record of the chunk, save those that
// can never be accepted (too large, invalid), that are no events, or that an option
// says to drop; each of these is counted and logged by number and size, never
// with its content. Nothing is acknowledged early.
//
// After Retry, a second delivery of the same bytes under the same tag sends only
// what is not confirmed yet. What is needed for that is kept in memory, bounded by
// count, bytes and age; when it is lost, delivery is at least once.
//
// A flush takes no longer than Config.FlushTimeout plus the time to decode its
// chunk.
//
// # Limits
//
// No order is promised between chunks. Compression is not supported yet.
package plugin
