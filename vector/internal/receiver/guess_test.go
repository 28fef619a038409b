// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/vmihailenco/msgpack/v5"
)

// Bodies of events that are not short ask for all their memory before they are read. To
// ask for more later makes them wait for each other. Here all that is left is taken by
// another as soon as they are let in.
func TestBodiesAskForMemoryOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var lines []byte
	for i := range 2000 {
		lines = fmt.Appendf(lines, `{"n":%d,"message":"`, i)
		for range 24 {
			lines = fmt.Appendf(lines, "%016x", rng.Uint64())
		}
		lines = append(lines, "\"}\n"...)
	}
	array := append(append([]byte{'['}, bytes.ReplaceAll(bytes.TrimSpace(lines), []byte{'\n'}, []byte{','})...), ']')
	event, err := msgpack.Marshal([]any{1, map[string]any{"log": strings.Repeat("m", 400)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, contentType, encoding string
		body                        []byte
	}{
		{"lines", "application/x-ndjson", "", lines},
		{"array", "application/json", "", array},
		{"msgpack", "application/msgpack", "", bytes.Repeat(event, 2000)},
		{"packed lines", "application/x-ndjson", "zstd", zstded(lines)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "--limits.memory=64MiB", "--limits.wire_max_size=4MiB", "--limits.body_max_size=4MiB", "--limits.events=10000",
					"--limits.admission_timeout=0")
				defer r.stop()
				b := r.server.budget
				rest := &lease{b: b}
				half := len(c.body) / 2
				takeRest := readFunc(func([]byte) (int, error) {
					synctest.Wait()
					used, _ := b.state()
					if used < int64(len(c.body)) {
						t.Errorf("unexpected memory of a body that is being read; got %d; want at least %d", used, len(c.body))
					}
					if err := rest.resize(t.Context(), b.size-used); err != nil {
						return 0, err
					}
					return 0, io.EOF
				})
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url("/"),
					io.MultiReader(bytes.NewReader(c.body[:half]), takeRest, bytes.NewReader(c.body[half:])))
				if err != nil {
					t.Fatal(err)
				}
				req.ContentLength = int64(len(c.body))
				req.Header.Set("Content-Type", c.contentType)
				if c.encoding != "" {
					req.Header.Set("Content-Encoding", c.encoding)
				}
				r.do(req).want(t, 200, `{"events":2000}`)
				rest.Release()
			})
		})
	}
}

// readFunc is an io.Reader.
type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
