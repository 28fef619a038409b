// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Format is how the events lie in a body.
type Format uint8

// The formats.
const (
	// FormatAuto: Split looks at the first bytes.
	FormatAuto Format = iota
	// FormatJSON is JSON values as an array, one a line, concatenated or
	// pretty-printed, in any mixture.
	FormatJSON
	// FormatText is lines.
	FormatText
	// FormatMsgpack is what Fluent Bit and Fluentd send as MessagePack.
	FormatMsgpack
	// FormatOTLPProto is an ExportLogsServiceRequest as protobuf, or several one
	// after the other, which is the same.
	FormatOTLPProto
	// FormatOTLPJSON is an ExportLogsServiceRequest as JSON, or several as an array,
	// one a line or concatenated.
	FormatOTLPJSON
	// FormatOTLP is one of the two; Split looks at the first byte.
	FormatOTLP
	// FormatVector is a PushEventsRequest of Vector's own protocol. FormatOf never
	// returns it: it comes over gRPC.
	FormatVector
)

// String is a short lower-case word such as "json", fit for a metric label.
func (f Format) String() string {
	switch f {
	case FormatAuto:
		return "auto"
	case FormatJSON:
		return "json"
	case FormatText:
		return "text"
	case FormatMsgpack:
		return "msgpack"
	case FormatOTLPProto:
		return "otlp_proto"
	case FormatOTLPJSON:
		return "otlp_json"
	case FormatOTLP:
		return "otlp"
	case FormatVector:
		return "vector"
	}
	return "unknown"
}

// otlpPath is where OTLP/HTTP sends logs
// (https://opentelemetry.io/docs/specs/otlp/, checked 2026-11-24).
const otlpPath = "/v1/logs"

// FormatOf chooses the format by a request's Content-Type and path. Parameters of
// the content type are ignored, and so is its case. The error is an *Error of
// KindUnsupported.
//
// On a path that ends in /v1/logs only OTLP is read. Types that say nothing, such as
// the form type that curl sends by default, */* and types that this package does not
// know, are FormatAuto, or FormatOTLP on that path: many shippers send no type or let
// the user set one, and a refusal makes them drop the events. Types that are surely no
// logs (images, multipart forms, gRPC, Avro) are refused.
func FormatOf(contentType, path string) (Format, error) {
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.ToLower(strings.TrimSpace(t))
	if strings.HasSuffix(strings.TrimSuffix(path, "/"), otlpPath) {
		return otlpFormatOf(t)
	}
	top, sub, _ := strings.Cut(t, "/")
	switch {
	case t == "":
		return FormatAuto, nil
	case isProtobuf(t):
		return FormatOTLPProto, nil
	case isMsgpack(t):
		return FormatMsgpack, nil
	case isJSON(t, sub):
		return FormatJSON, nil
	case top == "text":
		return FormatText, nil
	case isOther(top) || isBinary(sub):
		return FormatAuto, refuseDeclared("content type " + printable(t))
	}
	return FormatAuto, nil
}

func otlpFormatOf(t string) (Format, error) {
	top, sub, _ := strings.Cut(t, "/")
	switch {
	case isProtobuf(t):
		return FormatOTLPProto, nil
	case isJSON(t, sub):
		return FormatOTLPJSON, nil
	case top == "text" || isMsgpack(t) || isOther(top) || isBinary(sub):
		return FormatOTLP, refuseDeclared("content type " + printable(t) + " is not OTLP")
	}
	return FormatOTLP, nil
}

// isOther knows the top-level types that have no logs.
func isOther(top string) bool {
	switch top {
	case "image", "audio", "video", "font", "model", "multipart", "message", "chemical", "haptics":
		return true
	}
	return false
}

func isProtobuf(t string) bool {
	return t == "application/x-protobuf" || t == "application/protobuf" || t == "application/vnd.google.protobuf"
}

func isMsgpack(t string) bool {
	switch t {
	case "application/msgpack", "application/x-msgpack", "application/vnd.msgpack", "application/x.msgpack":
		return true
	}
	return false
}

// isJSON knows the names of JSON and of its several-values forms.
func isJSON(t, sub string) bool {
	if strings.HasSuffix(sub, "+json") {
		return true
	}
	switch strings.TrimPrefix(sub, "x-") {
	case "json", "ndjson", "jsonl", "jsonlines", "json-lines", "jsonstream", "json-stream", "json-seq", "ldjson", "json-array":
		return t != sub
	}
	return false
}

// isBinary knows the second parts of types that cannot be logs in a form read here.
func isBinary(sub string) bool {
	for _, p := range []string{"grpc", "avro", "vnd.apache", "x-avro", "pdf", "zip", "cbor", "x-tar", "xml", "bson", "x-thrift"} {
		if strings.HasPrefix(sub, p) {
			return true
		}
	}
	return strings.HasSuffix(sub, "+xml") || strings.HasSuffix(sub, "+cbor")
}

// printable cuts and cleans a header's text for an error.
func printable(s string) string {
	const longest = 64
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	if len(s) > longest {
		s = s[:longest] + "..."
	}
	return `"` + s + `"`
}

// FormatIn is what Split takes FormatAuto and FormatOTLP for, by the first
// bytes; other formats are returned as they are. It is for metrics. A body that
// begins like JSON and turns out to be text is called JSON.
func FormatIn(data []byte, f Format) Format {
	switch f {
	case FormatOTLP:
		if text := trimSpace(data[skipBOM(data):]); len(text) > 0 && (text[0] == '{' || text[0] == '[') {
			return FormatOTLPJSON
		}
		return FormatOTLPProto
	case FormatAuto:
		switch sniff(data) {
		case sniffJSON, sniffMaybe:
			return FormatJSON
		case sniffMsgpack:
			return FormatMsgpack
		case sniffText:
			return FormatText
		default: // unknown
		}
	default: // it is said what the format is
	}
	return f
}

// sniffed is what the first bytes of a body say.
type sniffed uint8

const (
	sniffText    sniffed = iota
	sniffJSON            // JSON, or broken
	sniffMaybe           // JSON if all of it is, else text
	sniffMsgpack         // MessagePack, or broken
	sniffUnknown         // binary data of no known kind
)

// sniffBytes is how much of a body is searched for bytes that text does not have.
const sniffBytes = 1024

// sniff tells formats apart. No text begins as MessagePack arrays and maps do: the
// byte is never the first of a UTF-8 character, or is not followed by a second.
func sniff(data []byte) sniffed {
	text := trimSpace(data[skipBOM(data):])
	if len(text) == 0 {
		return sniffJSON // nothing but space: no events in any format
	}
	next := trimSpace(text[1:])
	switch text[0] {
	case '{':
		// The keys of JSON are strings, or what shippers write in place of them.
		if len(next) > 0 && next[0] > ' ' && next[0] < utf8.RuneSelf && bytes.IndexByte([]byte(`"}-[{0123456789`), next[0]) < 0 && !nearLiteral(next) {
			return sniffMaybe
		}
		return sniffJSON
	case '[':
		// A log line may well begin with a bracket, but hardly goes on like JSON.
		if len(next) > 0 && bytes.IndexByte([]byte(`{["]`), next[0]) >= 0 {
			return sniffJSON
		}
		return sniffMaybe
	case '"':
		return sniffMaybe
	}
	first, n := utf8.DecodeRune(data)
	if c := data[0]; c >= 0x80 && c <= 0x9f || c >= 0xdc && c <= 0xdf && first == utf8.RuneError && n == 1 {
		return sniffMsgpack
	}
	if bytes.IndexByte(data[:min(len(data), sniffBytes)], 0) >= 0 {
		return sniffUnknown
	}
	return sniffText
}

// trimSpace leaves JSON's white space out at the beginning.
func trimSpace(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// bom is the byte order mark, which some programs put before UTF-8.
const bom = "\ufeff"

// skipBOM returns where the text behind a byte order mark begins.
func skipBOM(data []byte) int {
	if bytes.HasPrefix(data, []byte(bom)) {
		return len(bom)
	}
	return 0
}
