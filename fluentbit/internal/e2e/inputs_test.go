// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestInputs(t *testing.T) {
	const n = 9000
	for _, workers := range []int{0, 2} {
		for _, storage := range []string{"memory", "filesystem"} {
			var service []string
			t.Run(fmt.Sprintf("tail/workers %d/%s", workers, storage), func(t *testing.T) {
				t.Parallel()
				r := row{}
				table.add(t, &r)
				srv := newServer(t)
				if storage == "filesystem" {
					service = append(service, "storage.path: "+t.TempDir())
				}
				h := newHost(t, settings{
					service: service, inputs: [][]string{tail(newLogFile(t, n), "storage.type: "+storage)},
					outputs: [][]string{output(srv.URL(), "logs", workers)},
				})
				h.start()
				h.delivered(srv, "logs", n)
				h.confirmed(&r, n)
				h.stop()
				check(t, &r, srv, "logs", n, 0)
				if warned := strings.Contains(h.logged(), "engine thread"); warned != (workers == 0) {
					t.Errorf("unexpected warning about the engine thread; got %v", warned)
				}
			})
		}
		t.Run(fmt.Sprintf("opentelemetry/workers %d", workers), func(t *testing.T) {
			t.Parallel()
			r := row{}
			table.add(t, &r)
			srv := newServer(t)
			port := freePort(t)
			h := newHost(t, settings{
				inputs:  [][]string{{"name: opentelemetry", "listen: 127.0.0.1", fmt.Sprint("port: ", port)}},
				outputs: [][]string{output(srv.URL(), "logs", workers)},
			})
			h.start()
			sendOTLP(t, h, port, n)
			h.delivered(srv, "logs", n)
			h.confirmed(&r, n)
			h.stop()
			check(t, &r, srv, "logs", n, 0)
		})
		t.Run(fmt.Sprintf("dummy/workers %d", workers), func(t *testing.T) {
			t.Parallel()
			const n = 2000
			r := row{lost: -1}
			table.add(t, &r)
			srv := newServer(t)
			h := newHost(t, settings{
				inputs:  [][]string{{"name: dummy", "dummy: '{\"seq\":0,\"message\":\"dummy\"}'", "rate: 1000", fmt.Sprint("samples: ", n)}},
				outputs: [][]string{output(srv.URL(), "logs", workers)},
			})
			h.start()
			h.until("delivery", func() bool { return len(srv.Consume("logs").Records) >= n })
			h.confirmed(&r, n)
			h.stop()
			// The events are all the same, so that only their number tells.
			a := consume(srv, "logs", 1, nil)
			r.in, r.read, r.doubled, r.note = n, a.read, a.read-n, "events are alike: counted only"
			if a.read != n || a.foreign != 0 {
				t.Errorf("unexpected delivery; got %d events, %d foreign; want %d, 0", a.read, a.foreign, n)
			}
		})
	}
}

func TestContents(t *testing.T) {
	t.Run("chunks over 2 MB", func(t *testing.T) {
		t.Parallel()
		const n = 60_000
		r := row{}
		table.add(t, &r)
		srv := newServer(t)
		h := newHost(t, settings{
			inputs:  [][]string{tail(newLogFile(t, n), "buffer_chunk_size: 8M", "buffer_max_size: 16M")},
			outputs: [][]string{output(srv.URL(), "logs", 2)},
		})
		h.start()
		h.delivered(srv, "logs", n)
		h.confirmed(&r, n)
		h.stop()
		check(t, &r, srv, "logs", n, 0)
	})
	t.Run("1000 tags with 8 workers", func(t *testing.T) {
		t.Parallel()
		const tags, each = 1000, 10
		r := row{}
		table.add(t, &r)
		srv := newServer(t)
		dir := t.TempDir()
		for i := range tags {
			logFile(t, filepath.Join(dir, fmt.Sprintf("pod-%04d.log", i)), i*each, (i+1)*each)
		}
		h := newHost(t, settings{
			inputs:  [][]string{{"name: tail", "path: " + filepath.Join(dir, "*.log"), "tag: app.*", "parser: e2e_json", "read_from_head: on"}},
			outputs: [][]string{output(srv.URL(), "logs", 8)},
		})
		h.start()
		h.delivered(srv, "logs", tags*each)
		h.confirmed(&r, tags*each)
		h.stop()
		a := check(t, &r, srv, "logs", tags*each, 0)
		if a.KinesisRecords > tags {
			t.Errorf("unexpected aggregation; got %d Kinesis records for %d chunks; want fewer than chunks", a.KinesisRecords, tags)
		}
	})
	t.Run("three outputs", func(t *testing.T) {
		t.Parallel()
		const n = 5000
		r := row{}
		table.add(t, &r)
		srv := newServer(t, kinesistest.WithStream("copy", 2), kinesistest.WithStream("plain", 1))
		h := newHost(t, settings{inputs: [][]string{tail(newLogFile(t, n))}, outputs: [][]string{
			output(srv.URL(), "logs", 2), output(srv.URL(), "copy", 0, "partition_key: path"), output(srv.URL(), "plain", 1, "aggregation: off"),
		}})
		h.start()
		for _, s := range []string{"logs", "copy", "plain"} {
			h.delivered(srv, s, n)
		}
		h.confirmed(&r, 3*n)
		h.stop()
		for _, s := range []string{"copy", "plain", "logs"} {
			check(t, &r, srv, s, n, 0)
		}
		r.note = "each output has all events"
	})
	t.Run("compression gzip", func(t *testing.T) {
		t.Parallel()
		const n = 3000
		r := row{}
		table.add(t, &r)
		srv := newServer(t)
		h := newHost(t, settings{inputs: [][]string{tail(newLogFile(t, n))}, outputs: [][]string{output(srv.URL(), "logs", 2, "compression: gzip")}})
		h.start()
		h.until("delivery", func() bool { return len(srv.Consume("logs").Records) >= n })
		h.confirmed(&r, n)
		h.stop()
		a := consume(srv, "logs", n, func(b []byte) ([]byte, error) {
			z, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				return nil, err
			}
			return io.ReadAll(z)
		})
		r.in, r.read, r.lost, r.doubled = n, a.read, n-a.distinct, a.doubled
		if a.distinct != n || a.doubled != 0 || a.foreign != 0 {
			t.Errorf("unexpected delivery; got %d distinct, %d doubled, %d foreign of %d", a.distinct, a.doubled, a.foreign, n)
		}
	})
	t.Run("dead letter file", func(t *testing.T) {
		t.Parallel()
		const n = 1000
		r := row{}
		table.add(t, &r)
		srv := newServer(t)
		path := newLogFile(t, n)
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(f, `{"seq":%d,"big":"%s"}`+"\n", n, strings.Repeat("x", 1_200_000))
		if e := f.Close(); err != nil || e != nil {
			t.Fatal(err, e)
		}
		deadLetters := filepath.Join(t.TempDir(), "dead.jsonl")
		h := newHost(t, settings{inputs: [][]string{tail(path, "buffer_max_size: 8M")}, outputs: [][]string{output(srv.URL(), "logs", 2, "dead_letter_file: "+deadLetters)}})
		h.start()
		h.delivered(srv, "logs", n)
		h.until("a dead letter", func() bool { b, _ := os.ReadFile(deadLetters); return bytes.Count(b, []byte("\n")) == 1 })
		h.until("its metric", func() bool { return h.metric("kpl_dead_letters_total", "") == 1 })
		h.confirmed(&r, n)
		h.stop()
		check(t, &r, srv, "logs", n, 0)
		r.in, r.note = n+1, "1 event of 1.2 MB is in the dead letter file"
	})
}
