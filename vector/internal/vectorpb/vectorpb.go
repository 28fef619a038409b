// SPDX-License-Identifier: Apache-2.0

// Package vectorpb holds what is needed of the messages of Vector's own protocol, for
// tests: package body reads them without a schema, and is compared with what the
// protobuf library reads by this one. No code is generated for it. Events and values
// are written in the text format of protobuf.
package vectorpb

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	_ "google.golang.org/protobuf/types/known/timestamppb" // the schema imports it
)

//go:embed vector.textproto
var schema []byte

var file = sync.OnceValue(func() protoreflect.FileDescriptor {
	var fd descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal(schema, &fd); err != nil {
		panic(err)
	}
	f, err := protodesc.NewFile(&fd, protoregistry.GlobalFiles)
	if err != nil {
		panic(err)
	}
	return f
})

// New makes a message of a type of the schema, such as PushEventsRequest. It panics if
// there is no such type.
func New(name protoreflect.Name) *dynamicpb.Message {
	return dynamicpb.NewMessage(file().Messages().ByName(name))
}

// Request makes a PushEventsRequest of events, each the text of a message Event. It
// panics if one cannot be read: that is a mistake in the test's source.
func Request(events ...string) *dynamicpb.Message {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "events { %s }\n", e)
	}
	req := New("PushEventsRequest")
	if err := prototext.Unmarshal([]byte(b.String()), req); err != nil {
		panic(err)
	}
	return req
}

// Log is an Event with a log of these fields, each the text of a message Value, or with
// the value if that is not empty.
func Log(value string, fields map[string]string) string {
	if value != "" {
		value = "value { " + value + " } "
	}
	return "log { " + entries(fields) + value + `metadata { raw_bytes: "m" } metadata_full { value { map {} } source_event_id: "0123456789abcdef" } }`
}

// Trace is an Event with a trace of these fields.
func Trace(fields map[string]string) string { return "trace { " + entries(fields) + "}" }

// Metric is an Event with the metric that is given as the text of a message Metric.
func Metric(metric string) string { return "metric { metadata_full {} " + metric + " }" }

// Null is a Value that is null.
const Null = "null: NULL"

// Text is a Value that is bytes, which need not be UTF-8.
func Text(s string) string { return "raw_bytes: " + strconv.Quote(s) }

// Integer is a Value that is a whole number.
func Integer(n int64) string { return fmt.Sprint("integer: ", n) }

// Float is a Value that is any other number, and may be infinite.
func Float(f float64) string {
	return "float: " + strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+"))
}

// Boolean is a Value that is true or false.
func Boolean(b bool) string { return fmt.Sprint("boolean: ", b) }

// Time is a Value that is a time.
func Time(seconds, nanos int64) string {
	return fmt.Sprintf("timestamp { seconds: %d nanos: %d }", seconds, nanos)
}

// Map is a Value with these fields.
func Map(fields map[string]string) string { return "map { " + entries(fields) + "}" }

// List is a Value with these items.
func List(items ...string) string {
	var b strings.Builder
	b.WriteString("array { ")
	for _, item := range items {
		b.WriteString("items { " + item + " } ")
	}
	return b.String() + "}"
}

func entries(fields map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(&b, "fields { key: %q value { %s } } ", name, fields[name])
	}
	return b.String()
}
