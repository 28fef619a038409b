// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"

	"github.com/outkpl/outkpl/combined"
)

// maxPayload bounds what a payload may grow to; a Kinesis record is 10 MiB at most,
// but a small one can hold gigabytes of zeros.
const maxPayload = 256 << 20

// decompressor undoes the compression of payloads, and splits them into events.
type decompressor struct {
	mode   string
	form   string // of --events
	d      combined.Decoder
	failed int
}

// open returns the payload as it was before compression, and the format's name. What
// is not compressed, or is damaged, comes back as it is, without a name.
func (d *decompressor) open(b []byte) ([]byte, string) {
	d.d.Compression, d.d.MaxBytes = d.mode, maxPayload
	out, format, err := d.d.Decompress(b)
	switch {
	case err != nil:
		d.failed++
		return b, ""
	case format == combined.None:
		return b, ""
	}
	return out, format
}

// events returns the events of a payload that open has returned. ok tells that it is a
// combined one.
func (d *decompressor) events(payload []byte) (events [][]byte, ok bool) {
	if d.form == "" {
		return [][]byte{payload}, false
	}
	take := combined.Decoder{Compression: combined.None, Form: d.form}
	r, err := take.Decode(payload)
	if err != nil || r.Form == combined.Single {
		return [][]byte{payload}, false
	}
	return r.Events, true
}

// appendPayload appends the field or fields of a payload to a line of JSON.
//
// "data" is a string if the payload is text, and an object or array if it is
// JSON of that kind; so a string is always the payload itself. Only --data=json shows
// scalars as JSON. "data_base64" is for all other bytes.
func appendPayload(dst []byte, form string, payload []byte) []byte {
	switch form {
	case "none":
		return appendInt(append(dst, `,"bytes":`...), int64(len(payload)))
	case "json":
		if isJSON(payload) {
			return appendJSON(dst, payload)
		}
	case "auto":
		if t := bytes.TrimLeft(payload, " \t\r\n"); len(t) > 0 && (t[0] == '{' || t[0] == '[') && isJSON(payload) {
			return appendJSON(dst, payload)
		}
		fallthrough
	case "text":
		if utf8.Valid(payload) {
			return appendString(append(dst, `,"data":`...), string(payload))
		}
	}
	dst = append(dst, `,"data_base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, payload)
	return append(dst, '"')
}

// isJSON is stricter than json.Valid, which takes strings that are not UTF-8.
func isJSON(b []byte) bool { return utf8.Valid(b) && json.Valid(b) }

// appendJSON appends a valid JSON text as it is but in one line.
func appendJSON(dst, payload []byte) []byte {
	buf := bytes.NewBuffer(append(dst, `,"data":`...))
	_ = json.Compact(buf, payload) // the text is valid
	return buf.Bytes()
}
