// SPDX-License-Identifier: Apache-2.0

package body

import "fmt"

// Kind says why a body was refused. The set is closed: the same value is used in
// the error, and its String is fit for a metric label or a log field.
type Kind uint8

// The kinds. KindNone is never part of an error.
const (
	KindNone        Kind = iota
	KindTooLarge         // a limit of Limits is exceeded; status 422
	KindMalformed        // the bytes are not what they are said to be; status 422
	KindUnsupported      // an encoding or format that this package does not read; status 415 if it is declared, else 422
)

// String is a short lower-case word such as "malformed".
func (k Kind) String() string {
	switch k {
	case KindTooLarge:
		return "too_large"
	case KindMalformed:
		return "malformed"
	case KindUnsupported:
		return "unsupported"
	default: // none
	}
	return "none"
}

// Error is a body that was refused as a whole. It carries no content of the body.
type Error struct {
	Kind Kind
	// Offset is where in the unpacked body the error is, in bytes; -1 if that is
	// not known.
	Offset int
	// Event is the number of the event that was being read, from 0; -1 if the error
	// is not in an event.
	Event int
	// Declared tells that what the request says of its body is not supported, whatever the
	// body is.
	Declared bool
	// Detail says what is wrong. It comes from a fixed set, or names a content type
	// or encoding.
	Detail string
}

// Error names kind, detail and place.
func (e *Error) Error() string {
	where := ""
	if e.Offset >= 0 {
		where = fmt.Sprintf(" at offset %d", e.Offset)
	}
	if e.Event >= 0 {
		where += fmt.Sprintf(" (event %d)", e.Event)
	}
	return fmt.Sprintf("cannot read body: %s: %s%s", e.Kind, e.Detail, where)
}

// Nesting says whether the error is that values exceed Limits.Depth.
func (e *Error) Nesting() bool {
	return e.Detail == wrongDepth || e.Detail == wrongNesting || e.Detail == wrongTooDeep
}

// Details of errors of KindTooLarge that are not about the number of bytes.
const (
	DetailEvents = "too many events"
	DetailWindow = "zstd window of more than 64 MiB"
)

// refuseDeclared makes an error about what a request says of its body.
func refuseDeclared(detail string) *Error {
	e := refuse(KindUnsupported, detail)
	e.Declared = true
	return e
}

// refuse makes an error about a body as a whole.
func refuse(k Kind, detail string) *Error {
	return &Error{Kind: k, Offset: -1, Event: -1, Detail: detail}
}
