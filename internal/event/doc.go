// SPDX-License-Identifier: Apache-2.0

// Package event turns a log shipper's events into what the producer takes: a
// payload and a partition key each.
//
// It reads Fluent Bit's chunks in place, writes JSON in one pass without building
// maps, applies the shaping options, compresses, makes events fit that are too
// large, and finds partition key and stream:
//
//	shaper, err := event.NewShaper(event.Config{PartitionKey: "kubernetes->pod_name", TimeKey: "time"})
//	...
//	var r event.ChunkReader
//	var ev event.Event
//	for r.Reset(chunk); ; {
//		err := r.Next(&ev)
//		if err == io.EOF {
//			break
//		}
//		if err == nil {
//			outcome, err = builder.Add(shaper, tag, &ev)
//		}
//		// count and log err and outcome; reading can go on
//	}
//	records := builder.Records() // with Config.Stream: builder.Streams()[builder.StreamOf(i)]
//
// # Guarantees
//
// No input makes it panic, loop for ever, or use memory out of proportion to the
// input: the JSON text of n bytes of MessagePack is at most about 6n bytes (each
// level of maps used as keys can double that, and there are at most MaxKeyDepth);
// a split event repeats what is not its longest text in each piece, and group
// attributes come to at most 64 MiB in a chunk.
// Nothing is dropped without being told: a broken event is an error with its
// place and extent, and an event without a key or a stream, or one that was
// changed to fit, is an Outcome. Errors never show contents. The same chunk under
// the same Shaper gives the same records, byte for byte. A Shaper is safe for
// concurrent use; Builder and ChunkReader belong to one goroutine at a time and
// allocate nothing for each event.
//
// # Limits
//
// At most MaxDepth levels of maps and arrays. What comes behind bytes that are
// not MessagePack, or behind a cut, cannot be found again and is left to the
// caller as bytes. Metadata and group attributes are not added to what LogKey
// sends.
package event
