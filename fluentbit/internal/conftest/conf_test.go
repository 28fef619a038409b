// SPDX-License-Identifier: Apache-2.0

package conftest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outkpl/outkpl/combined"
	"github.com/outkpl/outkpl/core/kinesistest"
)

const (
	stream = "logs"
	lines  = 5000 // in each of two files
)

// built returns the plugin and the host program.
func built(t *testing.T) (library, host string) {
	t.Helper()
	library, host = os.Getenv("OUT_KPL_SO"), os.Getenv("FLB_HOST")
	if library == "" || host == "" {
		const text = "NOT TESTED: conf/ with the plugin; OUT_KPL_SO and FLB_HOST are not set, 'make test' sets them"
		if os.Getenv("CI") == "true" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	return library, host
}

// logFiles writes two files of numbered lines and returns their pattern and paths.
func logFiles(t *testing.T) (pattern string, paths []string) {
	t.Helper()
	dir := t.TempDir()
	for f := range 2 {
		var b bytes.Buffer
		for i := range lines {
			fmt.Fprintf(&b, "level=info msg=\"request served\" seq=%d\n", f*lines+i)
		}
		path := filepath.Join(dir, fmt.Sprintf("part%d.log", f))
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return filepath.Join(dir, "*.log"), paths
}

func newServer(t *testing.T) *kinesistest.Server {
	t.Helper()
	s := kinesistest.New(kinesistest.WithStream(stream, 4))
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// values are what the configuration takes from the environment.
func values(s *kinesistest.Server, pattern string) map[string]string {
	return map[string]string{
		"LOG_PATH": pattern, "AWS_REGION": "eu-west-1", "KINESIS_STREAM": stream, "KINESIS_ENDPOINT": s.URL(),
	}
}

// environment hides the account of the user.
func environment(t *testing.T, vars map[string]string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true",
	}
	for k, v := range vars {
		env = append(env, k+"="+v)
	}
	return env
}

// line is an event, with the key of its record.
type line struct {
	key  string
	data []byte
}

// consume reads the stream as a consumer does, and takes its records apart.
func consume(t *testing.T, s *kinesistest.Server) (all []line, got kinesistest.Consumed) {
	t.Helper()
	got = s.Consume(stream)
	var d combined.Decoder
	for _, u := range got.Records {
		r, err := d.Decode(u.Data)
		if err != nil {
			t.Fatalf("cannot read a record of %d bytes: %v", len(u.Data), err)
		}
		for _, e := range r.Events {
			all = append(all, line{key: u.PartitionKey, data: e})
		}
	}
	return all, got
}

// isCombined tells the files that put many events into one record.
func isCombined(name string) bool { return strings.HasPrefix(name, "combine/") }

// check reads the stream and counts each line.
func check(t *testing.T, s *kinesistest.Server, name string) {
	t.Helper()
	all, got := consume(t, s)
	seen := make([]int, 2*lines)
	for _, l := range all {
		var ev struct{ Log, Time string }
		if err := json.Unmarshal(l.data, &ev); err != nil {
			t.Fatalf("cannot read an event of %d bytes as JSON: %v", len(l.data), err)
		}
		n := -1
		if _, err := fmt.Sscanf(ev.Log, "level=info msg=\"request served\" seq=%d", &n); err != nil || n < 0 || n >= len(seen) {
			t.Fatalf("unexpected line of %d bytes (%v)", len(ev.Log), err)
		}
		if _, err := time.Parse("2006-01-02T15:04:05.000Z", ev.Time); err != nil {
			t.Fatalf("unexpected time: %v", err)
		}
		if !isCombined(name) && !strings.Contains(l.key, "part") {
			t.Fatalf("unexpected partition key; got %q; want the tag, which names the file", l.key)
		}
		seen[n]++
	}
	lost, duplicated := 0, 0
	for _, n := range seen {
		if n == 0 {
			lost++
		} else {
			duplicated += n - 1
		}
	}
	if lost != 0 || duplicated != 0 || len(got.Dropped) != 0 {
		t.Errorf("unexpected delivery of %d lines; got lost %d, duplicated %d, dropped by the consumer %d; want 0, 0, 0",
			len(seen), lost, duplicated, len(got.Dropped))
	}
	if n := len(s.Records(stream)); n*50 > len(seen) {
		t.Errorf("unexpected number of Kinesis records; got %d for %d lines; want at most 1 for 50", n, len(seen))
	}
	if isCombined(name) && len(got.Records)*50 > len(seen) {
		t.Errorf("unexpected number of user records; got %d for %d lines; want at most 1 for 50", len(got.Records), len(seen))
	}
	t.Logf("%d lines read back from %d user records and %d Kinesis records; lost %d, duplicated %d", len(all), len(got.Records), len(s.Records(stream)), lost, duplicated)
}

func TestOutputSectionInHostProgram(t *testing.T) {
	library, host := built(t)
	for name, sections := range map[string][]section{
		"fluent-bit.conf": classic(t, "fluent-bit.conf"), "fluent-bit.yaml": yaml(t, "fluent-bit.yaml"),
		"combine/fluent-bit.conf": classic(t, "combine/fluent-bit.conf"),
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			pattern, paths := logFiles(t)
			vars := values(s, pattern)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var args []string
			for i := range sections {
				if sections[i].kind != "output" {
					continue
				}
				if got := sections[i].get("name"); got != "kpl" {
					t.Fatalf("unexpected output; got %q; want kpl", got)
				}
				for _, p := range sections[i].props {
					args = append(args, "-p", p[0]+"="+os.Expand(p[1], func(k string) string {
						if v, ok := vars[k]; ok {
							return v
						}
						return "$" + k // $TAG is the plugin's
					}))
				}
			}
			args = append(args, library)
			cmd := exec.CommandContext(ctx, host, append(args, paths...)...)
			cmd.Env = environment(t, nil)
			var out, log bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &log
			if err := cmd.Run(); err != nil {
				t.Fatalf("the host program failed: %v\n%s%s", err, log.Bytes(), out.Bytes())
			}
			var sum struct{ Events, Chunks, OK int }
			if err := json.Unmarshal(out.Bytes(), &sum); err != nil {
				t.Fatalf("cannot read the sum of the host program: %v", err)
			}
			if sum.Events != 2*lines || sum.OK != sum.Chunks {
				t.Errorf("unexpected sum of the host program; got %+v; want %d events and every chunk OK", sum, 2*lines)
			}
			check(t, s, name)
		})
	}
}

func TestWholeFileInFluentBit(t *testing.T) {
	library, _ := built(t)
	bin := os.Getenv("FLUENT_BIT")
	if bin == "" {
		bin, _ = exec.LookPath("fluent-bit")
	}
	if bin == "" {
		t.Skip("NOT TESTED: conf/ in a real Fluent Bit; set FLUENT_BIT or put fluent-bit on PATH")
	}
	for _, name := range []string{"fluent-bit.conf", "fluent-bit.yaml", "combine/fluent-bit.conf"} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			pattern, _ := logFiles(t)
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, bin, "-e", library, "-c", filepath.Join("..", "..", "..", "conf", name))
			cmd.Env = environment(t, values(s, pattern))
			var log bytes.Buffer
			cmd.Stdout, cmd.Stderr = &log, &log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			limit := time.After(time.Minute)
			for arrived := 0; arrived < 2*lines; {
				select {
				case err := <-ended:
					t.Fatalf("Fluent Bit ended before everything was there: %v\n%s", err, log.Bytes())
				case <-limit:
					cancel()
					err := <-ended
					t.Fatalf("got %d of %d lines within a minute; Fluent Bit ended with %v\n%s", arrived, 2*lines, err, log.Bytes())
				case <-tick.C:
				}
				all, _ := consume(t, s)
				arrived = len(all)
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Errorf("unexpected end of Fluent Bit: %v\n%s", err, log.Bytes())
			}
			check(t, s, name)
		})
	}
}
