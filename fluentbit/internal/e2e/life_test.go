// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// isHostBug tells whether the host has died of its own: it starts the workers of a
// proxy output twice, and those that it forgot read freed memory after a reload.
func (h *host) isHostBug() bool { return strings.Contains(h.logged(), "flb_upstream_conn_timeouts") }

func TestStart(t *testing.T) {
	once := func(t *testing.T, args ...string) (string, int) {
		t.Helper()
		cmd := exec.Command(fluentBit, append([]string{"-e", library}, args...)...)
		cmd.Env = (&host{dir: t.TempDir()}).environment()
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	t.Run("help lists the options", func(t *testing.T) {
		out, code := once(t, "-o", "kpl", "-h")
		for _, want := range []string{"partition_key", "flush_timeout", "metrics_level", "Kinesis data stream to write to"} {
			if !strings.Contains(out, want) {
				t.Errorf("unexpected help, exit code %d; %q is missing in:\n%.2000s", code, want, out)
			}
		}
	})
	dry := func(t *testing.T, want int, output []string) string {
		t.Helper()
		h := newHost(t, settings{inputs: [][]string{{"name: dummy"}}, outputs: [][]string{output}})
		h.start("--dry-run")
		code := h.wait()
		if (code == 0) != (want == 0) || code < 0 || code == 134 || strings.Contains(h.logged(), "panic") {
			t.Errorf("unexpected exit code; got %d; want %d; log:\n%s", code, want, h.tail())
		}
		return h.logged()
	}
	t.Run("dry run", func(t *testing.T) {
		if log := dry(t, 0, output("http://127.0.0.1:1", "logs", 2)); !strings.Contains(log, "configuration test is successful") {
			t.Errorf("unexpected log:\n%s", log)
		}
	})
	t.Run("dry run with an unknown key", func(t *testing.T) {
		if log := dry(t, 1, output("http://127.0.0.1:1", "logs", 2, "strem: x")); !strings.Contains(log, "strem") {
			t.Errorf("unexpected log; the key is not named:\n%s", log)
		}
	})
	refused := func(t *testing.T, want string, more ...string) {
		t.Helper()
		h := newHost(t, settings{inputs: [][]string{{"name: dummy"}}, outputs: [][]string{output("http://127.0.0.1:1", "logs", 2, more...)}})
		h.start()
		if code := h.wait(); code <= 0 || code == 134 || !strings.Contains(h.logged(), want) {
			t.Errorf("unexpected end; got code %d; want one above 0 and %q in the log:\n%s", code, want, h.tail())
		}
	}
	t.Run("unknown key", func(t *testing.T) { refused(t, "aggregatoin", "aggregatoin: on") })
	t.Run("bad value", func(t *testing.T) { refused(t, `aggregation: "banana": not a boolean`, "aggregation: banana") })
	t.Run("daemon mode is refused", func(t *testing.T) {
		h := newHost(t, settings{
			service: []string{"daemon: on", "log_file: " + filepath.Join(t.TempDir(), "log")},
			inputs:  [][]string{{"name: dummy"}}, outputs: [][]string{output("http://127.0.0.1:1", "logs", 0)},
		})
		log := ""
		for _, l := range strings.Fields(readFile(t, h.conf)) {
			if strings.HasSuffix(l, "/log") {
				log = l
			}
		}
		h.start()
		h.wait() // the first process ends; the one that goes on speaks afterwards
		tick, end := time.NewTicker(50*time.Millisecond), time.After(maxWait)
		defer tick.Stop()
		for {
			b, _ := os.ReadFile(log)
			if strings.Contains(string(b)+h.logged(), "forked after the plugin was loaded") {
				return
			}
			select {
			case <-tick.C:
			case <-end:
				t.Fatalf("unexpected run: no explanation in the log:\n%s", b)
			}
		}
	})
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// feeder appends events to a file while the host runs.
type feeder struct {
	path string
	n    int
}

func (f *feeder) add(t *testing.T, n int) {
	t.Helper()
	logFile(t, f.path, f.n, f.n+n)
	f.n += n
}

func newFeeder(t *testing.T) *feeder { return &feeder{path: filepath.Join(t.TempDir(), "app.log")} }

// reload asks for a reload until the host begins one: for a second after one that it
// refused it says that one is in progress.
func (h *host) reload() {
	h.t.Helper()
	const begun = "reloading instance"
	before := strings.Count(h.logged(), begun)
	for range 20 {
		h.signal(syscall.SIGHUP)
		if h.eventually(2*time.Second, func() bool { return strings.Count(h.logged(), begun) > before || !h.alive() }) {
			return
		}
	}
	h.t.Fatalf("unexpected run: the host does not reload; log:\n%s", h.tail())
}

func TestReload(t *testing.T) {
	for _, workers := range []int{0, 2} {
		t.Run(fmt.Sprintf("good and refused ones/workers %d", workers), func(t *testing.T) {
			t.Parallel()
			r := row{confirmed: -1}
			table.add(t, &r)
			srv := newServer(t)
			f := newFeeder(t)
			f.add(t, 1000)
			db := "db: " + filepath.Join(t.TempDir(), "tail.db")
			good := settings{inputs: [][]string{tail(f.path, db)}, outputs: [][]string{output(srv.URL(), "logs", workers)}}
			h := newHost(t, good)
			h.start()
			h.delivered(srv, "logs", f.n)
			starts, crashed := 1, false
			for i := range 6 {
				bad := good
				switch i {
				case 1:
					bad.outputs = [][]string{output(srv.URL(), "logs", workers, "strem: x")}
				case 2:
					bad.outputs = [][]string{output(srv.URL(), "logs", workers), {"name: no_such_plugin", "match: '*'"}}
				case 4:
					bad.inputs = [][]string{tail(f.path, db, "no_such_key: x")}
				default:
					starts++
				}
				h.write(bad)
				halted, confirmed := strings.Count(h.logged(), "Reloading is halted"), h.metric(confirmedMetric, confirmedLabel)
				f.add(t, 500)
				h.reload()
				if i == 1 || i == 2 || i == 4 {
					h.until("a refused reload", func() bool { return strings.Count(h.logged(), "Reloading is halted") > halted || !h.alive() })
					if now := h.metric(confirmedMetric, confirmedLabel); h.alive() && now < confirmed {
						t.Errorf("unexpected metric after a refused reload; got %d confirmed; want at least %d", now, confirmed)
					}
				} else {
					h.until("a new start", func() bool { return strings.Count(h.logged(), "] started ") >= starts || !h.alive() })
				}
				if crashed = !h.alive(); crashed {
					break
				}
				h.until("delivery after the reload", func() bool { return consume(srv, "logs", f.n, nil).distinct >= f.n || !h.alive() })
				if crashed = !h.alive(); crashed {
					break
				}
			}
			if crashed {
				if !h.isHostBug() {
					t.Fatalf("unexpected end of the host; log:\n%s", h.tail())
				}
				r.in, r.note = f.n, "the host died of its own defect (pool started twice)"
				return
			}
			h.stop()
			check(t, &r, srv, "logs", f.n, 0)
			r.note = "3 good, 3 refused"
		})
	}
	t.Run("50 in a row leak nothing", func(t *testing.T) {
		t.Parallel()
		r := row{confirmed: -1}
		table.add(t, &r)
		srv := newServer(t)
		f := newFeeder(t)
		h := newHost(t, settings{inputs: [][]string{tail(f.path, "db: "+filepath.Join(t.TempDir(), "tail.db"))}, outputs: [][]string{output(srv.URL(), "logs", 0)}})
		f.add(t, 100)
		h.start()
		h.delivered(srv, "logs", f.n)
		threads, after := 0, 0
		for i := range 50 {
			f.add(t, 20)
			h.reload()
			h.waitLog("] started ", i+2)
			h.delivered(srv, "logs", f.n)
			if after = h.threads(); i == 9 {
				threads = after
			}
		}
		h.stop()
		check(t, &r, srv, "logs", f.n, 0)
		r.note = fmt.Sprintf("%d threads after 10 reloads, %d after 50", threads, after)
		if after > threads+4 {
			t.Errorf("unexpected number of threads; got %d after 10 reloads, %d after 50; want about the same", threads, after)
		}
	})
}

func TestEnd(t *testing.T) {
	for _, workers := range []int{0, 2} {
		t.Run(fmt.Sprintf("SIGTERM when idle/workers %d", workers), func(t *testing.T) {
			t.Parallel()
			const n = 500
			r := row{confirmed: -1}
			table.add(t, &r)
			srv := newServer(t)
			h := newHost(t, settings{inputs: [][]string{tail(newLogFile(t, n))}, outputs: [][]string{output(srv.URL(), "logs", workers)}})
			h.start()
			h.delivered(srv, "logs", n)
			took := h.stop()
			check(t, &r, srv, "logs", n, 0)
			r.note = fmt.Sprintf("ended after %.1f s", took.Seconds())
		})
		t.Run(fmt.Sprintf("SIGTERM with a backlog and a slow stream/workers %d", workers), func(t *testing.T) {
			t.Parallel()
			const n = 20_000
			r := row{confirmed: -1}
			table.add(t, &r)
			srv := newServer(t)
			slow := srv.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(2 * time.Second)})
			s := settings{
				grace: 20, service: []string{"storage.path: " + t.TempDir()},
				inputs:  [][]string{tail(newLogFile(t, n), "storage.type: filesystem", "db: "+filepath.Join(t.TempDir(), "tail.db"))},
				outputs: [][]string{output(srv.URL(), "logs", workers)},
			}
			h := newHost(t, s)
			h.start()
			h.until("a first call", func() bool { return slow.Hits() > 0 })
			took := h.stop()
			at := consume(srv, "logs", n, nil).distinct
			slow.Remove()
			h.start()
			h.delivered(srv, "logs", n)
			h.stop()
			// What the host did not hear the answers of any more comes again.
			check(t, &r, srv, "logs", n, n)
			r.note = fmt.Sprintf("ended after %.1f s with %d delivered; the rest after a restart", took.Seconds(), at)
			if took > 20*time.Second+15*time.Second {
				t.Errorf("unexpected end; took %v; want grace (20 s) and little more", took)
			}
		})
	}
	for _, workers := range []int{0, 1, 4} {
		t.Run(fmt.Sprintf("SIGTERM with the endpoint down/workers %d", workers), func(t *testing.T) {
			t.Parallel()
			// Many chunks, so that many wait for each worker.
			const files, n = 24, 6000
			r := row{confirmed: -1}
			table.add(t, &r)
			srv := newServer(t)
			down := srv.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Reset()})
			dir := t.TempDir()
			for i := range files {
				logFile(t, filepath.Join(dir, fmt.Sprintf("app%02d.log", i)), i*n/files, (i+1)*n/files)
			}
			s := settings{
				grace: 6, service: []string{"storage.path: " + t.TempDir()},
				inputs: [][]string{{
					"name: tail", "path: " + filepath.Join(dir, "*.log"), "tag: app.*", "parser: e2e_json", "read_from_head: on",
					"storage.type: filesystem", "db: " + filepath.Join(t.TempDir(), "tail.db"),
				}},
				outputs: [][]string{output(srv.URL(), "logs", workers)},
			}
			h := newHost(t, s)
			h.start()
			h.until("a first call", func() bool { return down.Hits() > 0 })
			h.waitLog("chunks are not confirmed and will be retried", 1)
			took := h.stop()
			down.Remove()
			h.start()
			h.delivered(srv, "logs", n)
			h.stop()
			check(t, &r, srv, "logs", n, 0)
			r.note = fmt.Sprintf("ended after %.1f s; all after a restart", took.Seconds())
			if most := 6*time.Second + 4*time.Second; took > most {
				t.Errorf("unexpected end; took %v; want at most grace and flush_timeout, %v", took, most)
			}
		})
	}
}
