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
		return FormatAuto, refuse(KindUnsupported, "content type "+printable(t))
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
		return FormatOTLP, refuse(KindUnsupported, "content type "+printable(t)+" is not OTLP")
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
	i := skipSpace(data, skipBOM(data))
	if i >= len(data) {
		return sniffJSON // nothing but space: no events in any format
	}
	switch data[i] {
	case '{':
		// The keys of JSON are strings, or what shippers write in place of them.
		j := skipSpace(data, i+1)
		if j < len(data) && data[j] > ' ' && data[j] < utf8.RuneSelf && bytes.IndexByte([]byte(`"}-[{0123456789`), data[j]) < 0 && !nearLiteral(data[j:]) {
			return sniffMaybe
		}
		return sniffJSON
	case '[':
		// A log line may well begin with a bracket, but hardly goes on like JSON.
		if j := skipSpace(data, i+1); j < len(data) {
			switch data[j] {
			case '{', '[', '"', ']':
				return sniffJSON
			}
		}
		return sniffMaybe
	case '"':
		return sniffMaybe
	}
	if c := data[0]; c >= 0x80 && c <= 0x9f || c >= 0xdc && c <= 0xdf && !startsText(data) {
		return sniffMsgpack
	}
	if bytes.IndexByte(data[:min(len(data), sniffBytes)], 0) >= 0 {
		return sniffUnknown
	}
	return sniffText
}

// nearLiteral says whether data begins with a literal, or what is taken for one, and is a
// key.
func nearLiteral(data []byte) bool {
	n := nonFinite(data)
	for _, word := range []string{"true", "false", "null"} {
		if n == 0 && bytes.HasPrefix(data, []byte(word)) {
			n = len(word)
		}
	}
	i := skipSpace(data, n)
	return n > 0 && (i == len(data) || data[i] == ':')
}

// startsText says whether the first character is valid UTF-8.
func startsText(data []byte) bool {
	r, n := utf8.DecodeRune(data)
	return r != utf8.RuneError || n > 1
}

// bom is the byte order mark, which some programs put before UTF-8.
const bom = "\ufeff"

// skipBOM returns where the text behind a byte order mark begins.
func skipBOM(data []byte) int {
	if bytes.HasPrefix(data, []byte(bom)) {
		return len(bom)
	}
	return 0
}
