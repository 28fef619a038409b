// SPDX-License-Identifier: Apache-2.0

package event

// Reason says why bytes were refused. The set is closed: the same value is used
// in the error, and its String is fit for a metric label or a log field.
type Reason uint8

// The reasons. ReasonNone is never part of an error.
const (
	ReasonNone      Reason = iota
	ReasonTruncated        // the bytes end inside a value, or a length is larger than what is left
	ReasonTypeByte         // 0xc1, the one byte that MessagePack never uses
	ReasonDepth            // more than MaxDepth arrays and maps inside each other
	ReasonKeyDepth         // maps or arrays used as map keys, more than MaxKeyDepth inside each other
	ReasonNotArray         // the event is not an array
	ReasonElements         // the event, or its head, does not have two elements
	ReasonTimestamp        // the timestamp is neither an event time, nor an integer, nor a finite float
	ReasonMetadata         // the metadata is neither a map nor nil
	ReasonBody             // the body is not a map
)

var reasonNames = [...]string{
	ReasonNone:      "none",
	ReasonTruncated: "truncated",
	ReasonTypeByte:  "bad_type_byte",
	ReasonDepth:     "too_deep",
	ReasonKeyDepth:  "keys_too_deep",
	ReasonNotArray:  "not_an_array",
	ReasonElements:  "wrong_element_count",
	ReasonTimestamp: "bad_timestamp",
	ReasonMetadata:  "bad_metadata",
	ReasonBody:      "body_not_a_map",
}

// String is a short lower-case word such as "truncated".
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}
