// SPDX-License-Identifier: Apache-2.0

// Package body turns the body of an HTTP request into events: it undoes the content
// encodings, checks everything, and splits.
//
//	decoder := body.Decoder{EventCost: 256} // one for all requests
//	...
//	form := body.Form{Encodings: r.Header.Get("Content-Encoding"), ContentType: r.Header.Get("Content-Type")}
//	form.Format, err = body.FormatOf(form.ContentType, r.URL.Path)
//	opt := body.Options{Limits: limits, Path: []string{"host"}}
//	in, err := decoder.Decode(ctx, wire, form, opt, memory)
//	for i := range in.Events {
//		key, kind, ok := opt.Field(scratch, &in.Events[i])
//		...
//	}
//	decoder.Reuse(in.Events)
//
// # Guarantees
//
// A body is taken as a whole or not at all: an error, always an *Error, means that
// no event of it was returned. With Options.Broken a part that cannot be read is an
// event of its own instead. Errors never show contents. No input makes the
// package panic, loop for ever or use memory beyond Limits: nothing is allocated
// because a body declares a length. JSON and text cost no allocation for each
// event; an event is a slice of the body wherever it can be put as it came.
//
// # Formats
//
// JSON is checked by RFC 8259. The elements of a top-level array are events, and so
// is every other top-level value: an array, one value a line, values one after the
// other and pretty-printed values are one grammar and may be mixed. White space,
// NUL (GELF), the record separator (RFC 7464) and a comma (Vector's native_json) may lie
// between top-level values. An array inside an array is one event. A string is put with its
// quotes unless Options.UnquoteStrings is set. A pretty-printed event is put on one
// line unless Options.KeepLayout is set.
//
// What shippers write in place of JSON is taken, too, and becomes JSON: nan, -inf, NaN,
// Infinity and the like are null; keys of other types (1:, null:, [1]:) are their text;
// \xNN is the character, or the byte where several make a character of UTF-8;
// \xffffffNN, which Fluent Bit writes for a byte above 0x7f, is \xNN; \a, \v, \' and
// control characters but NUL and line ends may lie in strings. In such an event each name
// occurs once in its object, and the last value counts. Events that are JSON stay as they
// came, names that occur twice included.
//
// With Options.Broken, what cannot be read costs only itself, and nothing of it is an event:
// an element of an array up to the next object from which the array makes sense again;
// elsewhere the line, or up to the object that follows on it. What does not end on its line
// ends with it if a line behind it is JSON by itself; a pretty-printed object that is broken
// ends with its last bracket. Where looking for ends would take more than linear time, no
// value goes beyond its line.
//
// Text is one event a line, of any bytes, without "\n" or "\r\n"; empty lines are
// no events.
//
// MessagePack is what Fluent Bit and Fluentd send; see event.AppendJSON of
// internal/event for how it becomes JSON. Fluent Bit's time is added as the first key,
// "date", in seconds. Metadata and group markers are left out, as in the JSON that
// Fluent Bit itself makes. Fluentd sends neither time nor tag.
//
// Without a content type the first bytes decide: a brace or a bracket, followed by
// what no log line begins with, is JSON, and if that is broken, each line that is not JSON is
// text, but for a single line and an array that is closed; another brace or bracket,
// or a quote, is JSON if the whole body is, else text; what cannot begin text is
// MessagePack; a NUL byte in the first KiB makes it unsupported, so that binary
// formats are not cut up as lines.
//
// # OTLP
//
// Each log record becomes one JSON object on one line. What is not set, zero or
// empty is left out. The keys, in this order:
//
//	timestamp                  string, RFC 3339 in UTC with nine decimals; the observed time if there is no other
//	observed_timestamp         string, the same form
//	severity_number            number, 1 to 24
//	severity_text              string
//	event_name                 string
//	body                       any value
//	attributes                 object
//	dropped_attributes_count   number
//	trace_id, span_id          strings, lower-case hexadecimal; what is neither that nor base64 stays as it is
//	flags                      number
//	resource                   object, the resource's attributes
//	resource_dropped_attributes_count, resource_schema_url
//	scope_name, scope_version  strings
//	scope_attributes           object
//	scope_dropped_attributes_count, scope_schema_url
//
// Values of OTLP become: string, bool and int the same (ints are exact); double a
// number with a decimal or an exponent, NaN and the infinities the strings "NaN",
// "Infinity" and "-Infinity"; bytes a string in base64; array and kvlist an array
// and an object, in order, of keys that occur twice the last one; no value null. Both encodings
// give the same events. Entity references and string tables of profiles are left
// out.
//
// Unknown fields are ignored, as OTLP says, with one exception: a request that is not
// empty but has no resourceLogs is refused, as it is probably another signal. So is
// protobuf whose known fields have other wire types, as the other signals have. The number of an event is its place in events, so
// that a receiver can count what it could not deliver for partial_success.
//
// # Vector
//
// Each event of a PushEventsRequest becomes one JSON object (or, with Vector's log
// namespace, another value) on one line, as Vector's own JSON encoding has it: keys in
// the order of the wire, which Vector sorts; times as RFC 3339 in UTC with 0, 3, 6 or 9
// decimals; bytes as text, with one U+FFFD for each maximal part of a character that is not
// UTF-8; elsewhere it is one for each such byte. Metadata is left out. Infinite
// numbers are the strings "Infinity" and "-Infinity". A sketch is an object
// agent_dd_sketch with its bins as k and n.
//
// # Limits
//
// See Limits. Reading time is linear in the length of the unpacked body, except that
// OTLP as JSON with values before their keys is looked at once more for each level
// of nesting, of which Limits.Depth bounds the number.
package body
