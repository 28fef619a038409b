// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"slices"
	"testing"
	"testing/synctest"
)

// A log record of OTLP that cannot be read costs only itself, and the client is told of it.
func TestBrokenLogRecordCostsItself(t *testing.T) {
	const (
		js    = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"1"}},{"timeUnixNano":"xx","body":{"stringValue":"2"}},{"body":{"stringValue":"3"}}]}]}]}`
		pb    = "\x0a\x1a\x12\x18\x12\x05\x2a\x03\x0a\x011\x12\x04\x2a\x03\x0a\x09\x12\x02\x28\xff\x12\x05\x2a\x03\x0a\x013"
		typeJ = "application/json"
		typeP = "application/x-protobuf"
	)
	for _, c := range []struct {
		name, contentType, body string
		flags                   []string
		status                  int
		inBody                  string
		deadLetters             []string
	}{
		{"JSON, dropped", typeJ, js, nil, 200, `"rejectedLogRecords":"1"`, nil},
		{"JSON, dead letter", typeJ, js, []string{"--dead_letter.stream=unused"}, 200, `{}`, []string{`{"timeUnixNano":"xx","body":{"stringValue":"2"}}`}},
		{"JSON, reject", typeJ, js, []string{"--route.malformed=reject"}, 422, "malformed", nil},
		{"protobuf, dropped", typeP, pb, nil, 200, "2 log records", nil},
		{"protobuf, dead letter", typeP, pb, []string{"--dead_letter.stream=unused"}, 200, "", []string{"\x2a\x03\x0a\x09", "\x28\xff"}},
		{"protobuf, reject", typeP, pb, []string{"--route.malformed=reject"}, 422, "malformed", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, m := rigWithDeadLetters(t, c.flags)
				defer r.stop()
				r.post(t.Context(), "/v1/logs", []byte(c.body), "Content-Type", c.contentType).want(t, c.status, c.inBody)
				stored, deadLetters := left(r, m)
				want := []string{`{"body":"1"}`, `{"body":"3"}`}
				if c.status != 200 {
					want = nil
				}
				if !slices.Equal(stored, want) || !slices.Equal(deadLetters, c.deadLetters) {
					t.Errorf("unexpected outcome; got %q stored, %q as dead letters; want %q and %q", stored, deadLetters, want, c.deadLetters)
				}
			})
		})
	}
}
