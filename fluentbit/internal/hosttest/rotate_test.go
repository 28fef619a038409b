// SPDX-License-Identifier: Apache-2.0

package hosttest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// credentialsFile is a shared credentials file that holds a key.
type credentialsFile string

func newCredentialsFile(t *testing.T, key string) credentialsFile {
	t.Helper()
	f := credentialsFile(filepath.Join(t.TempDir(), "credentials"))
	f.rotate(t, key)
	return f
}

// rotate replaces the file, as agents do.
func (f credentialsFile) rotate(t *testing.T, key string) {
	t.Helper()
	text := "[default]\naws_access_key_id = " + key + "\naws_secret_access_key = s\naws_session_token = t\n"
	if err := os.WriteFile(string(f)+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(string(f)+".new", string(f)); err != nil {
		t.Fatal(err)
	}
}

// env makes the file the only source of credentials.
func (f credentialsFile) env() []string {
	return []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_SHARED_CREDENTIALS_FILE=" + string(f), "AWS_CONFIG_FILE=/dev/null"}
}

// startWith is start with a file of credentials.
func startWith(t *testing.T, f credentialsFile, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return startProgram(t, ctx, host, library, f.env(), args...)
}

func TestCredentialsRotateOnDisk(t *testing.T) {
	t.Run("under load", func(t *testing.T) {
		srv := newServer(t)
		srv.AcceptKey("KEY1", "ExpiredTokenException")
		f := newCredentialsFile(t, "KEY1")
		h := startWith(t, f, to(srv, "logs", "--kubernetes", "20000", "--workers", "4", "-p", "flush_timeout=500ms", "-p", "collection_max_count=2", "-p", "max_in_flight=2")...)
		for deadline := time.Now().Add(time.Minute); srv.Stats().Records < 3 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		srv.AcceptKey("KEY2", "ExpiredTokenException")
		h.waitFor("will be retried")
		before, begun := srv.Stats().Records, time.Now()
		f.rotate(t, "KEY2")
		for srv.Stats().Records == before && time.Since(begun) < time.Minute {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(begun); took > 30*time.Second { // 10 and then some for a busy machine
			t.Errorf("unexpected time until delivery goes on; got %v; want up to 10s", took)
		} else {
			t.Logf("delivery goes on %v after the rotation", took.Round(time.Millisecond))
		}
		r := h.wait()
		wantDone(t, r, 20000)
		check(t, srv, "logs", 20000) // nothing lost, nothing doubled
	})
	t.Run("reload while they are expired", func(t *testing.T) {
		srv := newServer(t)
		srv.AcceptKey("KEY2", "ExpiredTokenException")
		f := newCredentialsFile(t, "KEY1")
		h := startWith(t, f, to(srv, "logs", "--kubernetes", "2000", "--workers", "2", "--reload", "2", "-p", "flush_timeout=500ms")...)
		h.waitFor("will be retried")
		f.rotate(t, "KEY2")
		r := h.wait()
		wantDone(t, r, 6000)
		check(t, srv, "logs", 6000)
	})
}

func TestEndpointBesideFIPSOfTheEnvironment(t *testing.T) {
	srv := newServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	h := startProgram(t, ctx, host, library, []string{"AWS_USE_FIPS_ENDPOINT=true", "AWS_USE_DUALSTACK_ENDPOINT=true"}, to(srv, "logs", "--kubernetes", "2000", "--workers", "2")...)
	r := h.wait()
	wantDone(t, r, 2000)
	check(t, srv, "logs", 2000)
	if n := strings.Count(r.log, "FIPS and dual-stack"); n != 1 {
		t.Errorf("unexpected lines about FIPS; got %d; want 1; log:\n%s", n, r.log)
	}
}
