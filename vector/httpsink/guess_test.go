// SPDX-License-Identifier: Apache-2.0

package httpsink

import (
	"bytes"
	"testing"

	"github.com/outkpl/outkpl/vector/body"
)

// Usual bodies are split once, and odd ones do not cost more than the limits say.
func TestGuessesSaveWork(t *testing.T) {
	x := &exchange{route: &route{body: body.Options{Limits: body.Limits{Events: 10_000}}}}
	lines := benchBody()
	array := append(append([]byte{'['}, bytes.ReplaceAll(bytes.TrimSpace(lines), []byte{'\n'}, []byte{','})...), ']')
	n := bytes.Count(lines, []byte{'\n'})
	for _, raw := range [][]byte{lines, array} {
		if got := x.countEvents(raw); got < n || got > 2*n {
			t.Errorf("unexpected guess; got %d; want %d to %d", got, n, 2*n)
		}
	}
	if got := x.countEvents(bytes.Repeat([]byte{'\n'}, 100_000)); got != 10_000 {
		t.Errorf("unexpected guess; got %d; want the limit", got)
	}
}
