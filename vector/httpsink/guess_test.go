// SPDX-License-Identifier: Apache-2.0

package httpsink

import (
	"bytes"
	"testing"

	"github.com/outkpl/outkpl/vector/body"
)

// TestGuessesSaveWork bounds what a wrong word of the sender can cost, and that usual
// bodies are unpacked and split once.
func TestGuessesSaveWork(t *testing.T) {
	const most = 1 << 20
	packed := gzipped(benchBody()[:most])
	if got := gzipLength("GZIP", packed, most); got != most {
		t.Errorf("unexpected length; got %d; want %d", got, most)
	}
	lie := append(packed[:len(packed)-4:len(packed)-4], 0xff, 0xff, 0xff, 0xff)
	for _, c := range []struct {
		name, encoding string
		wire           []byte
		want           int
	}{{"more than deflate can hold", "gzip", lie, 0}, {"another encoding", "zstd", packed, 0}, {"two encodings", "gzip, gzip", packed, 0}, {"too short", "gzip", packed[:17], 0}} {
		if got := gzipLength(c.encoding, c.wire, most); got != c.want {
			t.Errorf("unexpected length of %s; got %d; want %d", c.name, got, c.want)
		}
	}
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
