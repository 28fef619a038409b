// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// mountedSecret is a directory as the kubelet keeps it: what is in it is behind two
// symbolic links, of which one is replaced.
type mountedSecret struct {
	dir     string
	version int
}

func (m *mountedSecret) rotate(t *testing.T, key string) {
	t.Helper()
	m.version++
	version := fmt.Sprintf("..version%d", m.version)
	if err := os.Mkdir(filepath.Join(m.dir, version), 0o700); err != nil {
		t.Fatal(err)
	}
	text := "[default]\naws_access_key_id = " + key + "\naws_secret_access_key = s\naws_session_token = t\n"
	if err := os.WriteFile(filepath.Join(m.dir, version, "credentials"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if m.version == 1 {
		if err := os.Symlink("..data/credentials", m.file()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(version, filepath.Join(m.dir, "..data.new")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(m.dir, "..data.new"), filepath.Join(m.dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

func (m *mountedSecret) file() string { return filepath.Join(m.dir, "credentials") }

// env makes the file the only source of credentials.
func (m *mountedSecret) env() []string {
	return []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_SHARED_CREDENTIALS_FILE=" + m.file(), "AWS_CONFIG_FILE=/dev/null"}
}

// expire makes the key of the fake another one; the host has the old one for d.
func expire(t *testing.T, srv *kinesistest.Server, h *host, secret *mountedSecret, key string, d time.Duration) (goesOn time.Duration) {
	t.Helper()
	srv.AcceptKey(key, "ExpiredTokenException")
	time.Sleep(d)
	before, begun := srv.Stats().Records, time.Now()
	secret.rotate(t, key)
	h.until("delivery after the rotation", func() bool { return srv.Stats().Records > before })
	goesOn = time.Since(begun)
	if goesOn > 10*time.Second {
		t.Errorf("unexpected time until delivery goes on; got %v; want up to 10s", goesOn)
	}
	return goesOn
}

// withSecret is a Kinesis that takes one key alone, the secret that has it, and input.
func withSecret(t *testing.T) (*kinesistest.Server, *mountedSecret, *feeder) {
	t.Helper()
	srv := newServer(t)
	secret := &mountedSecret{dir: t.TempDir()}
	secret.rotate(t, "KEY0")
	srv.AcceptKey("KEY0", "ExpiredTokenException")
	f := newFeeder(t)
	f.add(t, 1000)
	return srv, secret, f
}

func TestCredentialsRotate(t *testing.T) {
	for _, workers := range []int{0, 2} {
		t.Run(fmt.Sprintf("under load/workers %d", workers), func(t *testing.T) {
			t.Parallel()
			r := row{}
			table.add(t, &r)
			srv, secret, f := withSecret(t)
			h := newHost(t, settings{inputs: [][]string{tail(f.path)}, outputs: [][]string{output(srv.URL(), "logs", workers)}})
			h.env = secret.env()
			h.start()
			h.delivered(srv, "logs", f.n)
			// Some rotate before the old key ends, some long after.
			for i, gap := range []time.Duration{0, 3 * time.Second, 45 * time.Second} {
				feeding, fed := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(fed)
					for {
						select {
						case <-feeding:
							return
						case <-time.After(20 * time.Millisecond):
							f.add(t, 50)
						}
					}
				}()
				goesOn := expire(t, srv, h, secret, fmt.Sprintf("KEY%d", i+1), gap)
				close(feeding)
				<-fed
				r.note += fmt.Sprintf("delivery goes on after %v (expired for %v); ", goesOn.Round(10*time.Millisecond), gap)
				h.delivered(srv, "logs", f.n)
			}
			h.confirmed(&r, f.n)
			h.stop()
			check(t, &r, srv, "logs", f.n, 0)
		})
		if workers > 0 {
			continue // see TestReload for what the host does to workers at a reload
		}
		t.Run("reload while expired", func(t *testing.T) {
			t.Parallel()
			r := row{confirmed: -1}
			table.add(t, &r)
			srv, secret, f := withSecret(t)
			h := newHost(t, settings{
				grace:   5,
				inputs:  [][]string{tail(f.path, "db: "+filepath.Join(t.TempDir(), "tail.db"))},
				outputs: [][]string{output(srv.URL(), "logs", workers, "flush_timeout: 1s")},
			})
			h.env = secret.env()
			h.start()
			h.delivered(srv, "logs", f.n)
			srv.AcceptKey("KEY1", "ExpiredTokenException")
			f.add(t, 1000)
			h.waitLog("will be retried", 1)
			// The host waits until its chunks are delivered, whatever grace says.
			h.reload()
			f.add(t, 1000)
			begun := time.Now()
			goesOn := expire(t, srv, h, secret, "KEY1", 3*time.Second)
			h.waitLog("] started ", 2)
			if took := time.Since(begun); took > 20*time.Second {
				t.Errorf("unexpected time of a reload; got %v; want up to 17s behind the rotation", took)
			} else {
				r.note = fmt.Sprintf("delivery goes on after %v, reload done after %v", goesOn.Round(10*time.Millisecond), (took - 3*time.Second).Round(10*time.Millisecond))
			}
			h.delivered(srv, "logs", f.n)
			h.stop()
			check(t, &r, srv, "logs", f.n, 0)
		})
	}
}
