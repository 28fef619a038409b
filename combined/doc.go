// SPDX-License-Identifier: Apache-2.0

// Package combined reads records that hold many events, as the producers write them with
// combine lines or combine json_array, compressed or not:
//
//	var d combined.Decoder
//	for _, user := range users { // of aggregation.Deaggregate, or of the KCL
//		r, err := d.Decode(user.Data)
//		if err != nil {
//			return err // the record is damaged
//		}
//		for number, event := range r.Events {
//			use(user.PartitionKey, number, event)
//		}
//	}
//
// # Format
//
//	record = compress(payload), one complete stream of gzip, zlib, zstd or snappy; or payload
//	payload = lines | array
//	lines   = { event LF }
//	array   = "[" event { "," event } "]"
//
// An event is JSON without line breaks, or text. In an array a text is a JSON string. In
// lines it is one if it has line breaks, is empty or begins with a quote, and else it
// stands as it is. So a line or an element that begins with a quote is always a JSON
// string, whose value is the event. A record of one event looks like one of many.
//
// # Guarantees
//
//   - Any bytes can be given. Decode does not panic, and the memory that it takes is
//     bounded by Decoder.MaxBytes: a small record may hold gigabytes of zeros.
//   - Every event comes back byte for byte as it would have been without combine. The
//     exception is text that became a JSON string and was not valid UTF-8: each byte that
//     is not has become U+FFFD.
//   - No record of the producers has more than 10 MiB when it is decompressed, unless one
//     event is larger. A zstd frame of theirs names its size, and has a window of as much.
//
// # Limits
//
//   - With Auto, a record of one event that is a JSON array, or ends with a line feed, is
//     taken for a combined one. Set Decoder.Form where records are of both kinds.
//   - A block of snappy has no sign by which it can be known; Compression has to say so.
//   - It does not de-aggregate; package aggregation does.
package combined
