// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core/kinesistest"
)

func newServer(t *testing.T, opts ...kinesistest.Option) *kinesistest.Server {
	t.Helper()
	srv := kinesistest.New(append([]kinesistest.Option{kinesistest.WithStream("logs", 4)}, opts...)...)
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return srv
}

// event is a line of input with its number.
func event(seq int) string {
	return fmt.Sprintf(`{"seq":%d,"level":"info","msg":"request done caf\u00e9","path":"/api/v1/items/%d","took_ms":%d}`, seq, seq%100, seq%977)
}

// logFile writes events from to to-1 into a file.
func logFile(t *testing.T, path string, from, to int) string {
	t.Helper()
	var b strings.Builder
	for i := from; i < to; i++ {
		b.WriteString(event(i) + "\n")
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(b.String()); err != nil {
		t.Fatal(err)
	}
	return path
}

func newLogFile(t *testing.T, n int) string {
	t.Helper()
	return logFile(t, filepath.Join(t.TempDir(), "app.log"), 0, n)
}

// tail lists the lines of an input that reads a file of JSON.
func tail(path string, more ...string) []string {
	return append([]string{"name: tail", "path: " + path, "tag: app", "parser: e2e_json", "read_from_head: on", "refresh_interval: 1"}, more...)
}

// sendOTLP posts events as OTLP/HTTP in JSON, in three resource groups a request.
func sendOTLP(t *testing.T, h *host, port, n int) {
	t.Helper()
	type object = map[string]interface{}
	for from := 0; from < n; from += 300 {
		groups := make([]object, 3)
		for g := range groups {
			var records []object
			for i := from + g*100; i < min(n, from+g*100+100); i++ {
				records = append(records, object{
					"timeUnixNano": "1795514400000000000", "severityNumber": 9,
					"body": object{"kvlistValue": object{"values": []object{{"key": "seq", "value": object{"intValue": strconv.Itoa(i)}}}}},
				})
			}
			groups[g] = object{
				"resource":  object{"attributes": []object{{"key": "service.name", "value": object{"stringValue": fmt.Sprint("svc-", g)}}}},
				"scopeLogs": []object{{"scope": object{"name": "e2e"}, "logRecords": records}},
			}
		}
		body, err := json.Marshal(object{"resourceLogs": groups})
		if err != nil {
			t.Fatal(err)
		}
		h.until("an accepted OTLP request", func() bool {
			resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/v1/logs", port), "application/json", bytes.NewReader(body))
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode/100 == 2
		})
	}
}

// account is what a consumer found of numbered events.
type account struct {
	kinesistest.Consumed
	read, distinct, doubled int
	foreign                 int // records that are no numbered event
}

// unpack may undo the compression of a record.
func consume(srv *kinesistest.Server, stream string, n int, unpack func([]byte) ([]byte, error)) account {
	a := account{Consumed: srv.Consume(stream)}
	seen := make([]int, n)
	for _, r := range a.Records {
		data := r.Data
		if unpack != nil {
			var err error
			if data, err = unpack(data); err != nil {
				a.foreign++
				continue
			}
		}
		var v struct{ Seq *int }
		if err := json.Unmarshal(data, &v); err != nil || v.Seq == nil || *v.Seq < 0 || *v.Seq >= n {
			a.foreign++
			continue
		}
		a.read++
		if seen[*v.Seq]++; seen[*v.Seq] == 1 {
			a.distinct++
		} else {
			a.doubled++
		}
	}
	return a
}

// delivered waits until a consumer finds n events.
func (h *host) delivered(srv *kinesistest.Server, stream string, n int) {
	h.t.Helper()
	last, found := int64(-1), account{}
	if !h.eventually(maxWait, func() bool {
		if now := srv.Stats().Records; now != last {
			last, found = now, consume(srv, stream, n, nil)
		}
		return found.distinct >= n
	}) {
		h.t.Fatalf("unexpected delivery; got %d of %d events, %d doubled, %d foreign; log:\n%s", found.distinct, n, found.doubled, found.foreign, h.tail())
	}
}

// check fills a row and fails the test if anything is lost, unreadable or more
// often there than allowed.
func check(t *testing.T, r *row, srv *kinesistest.Server, stream string, n, allowed int) account {
	t.Helper()
	a := consume(srv, stream, n, nil)
	r.in, r.read, r.lost, r.doubled = n, a.read, n-a.distinct, a.doubled
	if r.lost != 0 || a.foreign != 0 || len(a.Dropped) != 0 || a.doubled > allowed {
		t.Errorf("unexpected delivery; got %d lost, %d doubled, %d foreign, %d that KCL drops, of %d; want at most %d doubled",
			r.lost, a.doubled, a.foreign, len(a.Dropped), n, allowed)
	}
	if r.note == "" && a.KinesisRecords > 0 {
		r.note = fmt.Sprintf("%.0f events a Kinesis record", float64(a.read)/float64(a.KinesisRecords))
	}
	return a
}

// confirmed waits until the metrics say what the stream has, and notes it.
func (h *host) confirmed(r *row, n int) {
	h.t.Helper()
	h.until("the metric of confirmed records", func() bool {
		r.confirmed = h.metric(confirmedMetric, confirmedLabel)
		return r.confirmed >= n
	})
	if r.confirmed != n {
		h.t.Errorf("unexpected metric %s; got %d confirmed; want %d", confirmedMetric, r.confirmed, n)
	}
}
