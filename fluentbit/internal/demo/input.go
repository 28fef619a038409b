// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/outkpl/outkpl/internal/plural"
)

const (
	sampleEvents = 50_000
	// fewLines is where /var/log is not worth shipping.
	fewLines = 20_000
	// maxInput bounds what is taken from /var/log.
	maxInput = 64 << 20
)

// file is one file to ship: a copy in which each line is an event and ends with a line feed,
// since hosts differ in what they do with empty lines and with a last line without one. In a
// JSON file each line is an event as it is; a line of any other file becomes {"log": line}.
type file struct {
	path string
	json bool
}

// inputs is what is shipped, and how often each event occurs in it.
type inputs struct {
	dir    string // of the copies
	files  []file
	what   string
	expect map[string]int // by canonical JSON
	count  int
	bytes  int64
}

func (in *inputs) describe() string {
	return fmt.Sprintf("%s (%.1f MB)", in.what, float64(in.bytes)/1e6)
}

func findInputs(logs, dir string, small bool) (*inputs, error) {
	in := &inputs{dir: dir, expect: map[string]int{}}
	if logs != "" && logs != "sample" {
		for _, pattern := range strings.Fields(logs) {
			list, err := filepath.Glob(pattern)
			if err != nil || len(list) == 0 {
				return nil, fmt.Errorf("LOGS names %q; no such file", pattern)
			}
			for _, p := range list {
				if err := in.add(p); err != nil {
					return nil, err
				}
			}
		}
		in.what = logs
		if in.count == 0 {
			return nil, fmt.Errorf("LOGS=%q has no lines", logs)
		}
		return in, nil
	}
	if !small && logs != "sample" {
		if err := in.addSystemLogs(); err != nil {
			return nil, err
		}
		if in.count >= fewLines {
			in.what = plural.Count(len(in.files), "file") + " under /var/log"
			return in, nil
		}
	}
	in = &inputs{dir: dir, expect: map[string]int{}, what: "a generated sample of Kubernetes logs"}
	n := sampleEvents
	if small {
		n = 2000 // that emulator takes seconds for a megabyte
	}
	path := filepath.Join(dir, "kubernetes.json")
	if err := writeSample(path, n); err != nil {
		return nil, err
	}
	err := in.add(path)
	return in, err
}

// addSystemLogs adds readable text logs.
func (in *inputs) addSystemLogs() error {
	return filepath.WalkDir("/var/log", func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // not readable: not for us
		}
		info, err := d.Info()
		name := d.Name()
		ok := err == nil && info.Size() > 0 && in.bytes+info.Size() < maxInput &&
			(strings.HasSuffix(name, ".log") || name == "syslog" || name == "messages")
		if ok {
			_ = in.add(p)
		}
		return nil
	})
}

// add copies the events of a file, and counts them. Empty lines are none.
func (in *inputs) add(path string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	one := file{json: slices.Contains([]string{".json", ".jsonl", ".ndjson"}, filepath.Ext(path))}
	one.path = filepath.Join(in.dir, fmt.Sprintf("events.%d%s", len(in.files), filepath.Ext(path)))
	to, err := os.Create(one.path)
	if err != nil {
		return err
	}
	in.files = append(in.files, one)
	return errors.Join(in.copy(to, from, one.json), to.Close())
}

func (in *inputs) copy(to io.Writer, from io.Reader, isJSON bool) error {
	r, w := bufio.NewReaderSize(from, 1<<20), bufio.NewWriterSize(to, 1<<20)
	for {
		line, err := r.ReadBytes('\n')
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			key, bad := canonical(line)
			if !isJSON || bad != nil {
				key = textEvent(string(line))
			}
			in.expect[key]++
			in.count++
			in.bytes += int64(len(line)) + 1
			_, _ = w.Write(append(line, '\n')) // Flush has the error
		}
		if err == io.EOF {
			return w.Flush()
		}
		if err != nil {
			return errors.Join(err, w.Flush())
		}
	}
}

// textEvent is the canonical form of the event that a line of text becomes.
func textEvent(line string) string {
	b, _ := json.Marshal(map[string]string{"log": line}) // a map of strings cannot fail
	key, _ := canonical(b)
	return key
}

// canonical brings a JSON object into one form: sorted keys, numbers as written.
func canonical(b []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return "", err
	}
	if log, ok := m["log"].(string); ok {
		m["log"] = strings.TrimRight(log, "\r\n")
	}
	out, err := json.Marshal(m)
	return string(out), err
}

// writeSample writes events as the kubernetes filter of Fluent Bit leaves them.
func writeSample(path string, n int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	rng := rand.New(rand.NewPCG(20, 26))
	apps := []string{"checkout", "cart", "frontend", "payments", "search", "auth"}
	paths := []string{"/", "/api/v1/items", "/api/v1/cart", "/healthz", "/login"}
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	for i := range n {
		at = at.Add(time.Duration(rng.IntN(20)) * time.Millisecond)
		app := apps[rng.IntN(len(apps))]
		line, _ := json.Marshal(map[string]any{
			"time": at.Format(time.RFC3339Nano), "stream": "stdout",
			"log": fmt.Sprintf("10.%d.%d.%d \"GET %s?id=%d HTTP/1.1\" %d %d caf\u00e9", rng.IntN(256), rng.IntN(256), rng.IntN(256),
				paths[rng.IntN(len(paths))], i, 200+100*(rng.IntN(20)/18), rng.IntN(60000)),
			"kubernetes": map[string]any{
				"pod_name":       fmt.Sprintf("%s-7d9f8b6c5d-%05d", app, rng.IntN(40)),
				"namespace_name": "shop", "container_name": app, "host": fmt.Sprintf("ip-10-0-%d-12", rng.IntN(4)),
				"labels": map[string]string{"app": app, "version": "v1"},
			},
		})
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return w.Flush()
}
