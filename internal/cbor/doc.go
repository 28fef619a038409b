// SPDX-License-Identifier: Apache-2.0

// Package cbor reads and writes CBOR (RFC 8949) as Kinesis has it in the format
// application/x-amz-cbor-1.1: the names and shapes of AWS JSON, blobs as bytes, and dates
// in milliseconds since 1970, with tag 1.
//
//	buf = cbor.AppendText(cbor.AppendMap(buf, 1), "StreamName") // by hand, in one pass
//
//	var w cbor.Writer // what the SDK's types describe themselves to
//	input.Serialize(&w)
//	send(w.Bytes())
//
//	err := output.Deserialize(cbor.NewShapeReader(answer))
//
// The SDK has this for another protocol, where dates are seconds, and keeps it to itself.
// Its public decoder makes a map for each record, which is why [Reader] is here: it
// goes over the bytes once and allocates for what is kept.
package cbor
