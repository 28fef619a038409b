// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// Keys in a file are rotated twice under load: once with the old ones valid until then,
// once after they have been refused for a while.
func TestCredentialsRotateOnDisk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	rotate := func(key string) {
		t.Helper()
		text := "[default]\naws_access_key_id = " + key + "\naws_secret_access_key = s\naws_session_token = t\n"
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	k := fake(t, 4)
	k.AcceptKey("KEY1", "ExpiredTokenException")
	rotate("KEY1")
	p := startWith(t, k, []string{
		"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=" + file,
		"AWS_EC2_METADATA_DISABLED=true",
	}, "--route.ack_timeout=2s", "--producer.request_timeout=1s")
	// Calls that take a moment keep the test small.
	k.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(20 * time.Millisecond)})
	l := startLoad(p, 8, 25)
	select {
	case <-l.some:
	case <-p.ended:
		t.Fatalf("unexpected end of the program:\n%s", p.text())
	}
	for i, key := range []string{"KEY2", "KEY3"} {
		if i == 0 {
			rotate(key)
		}
		k.AcceptKey(key, "ExpiredTokenException")
		if i > 0 {
			time.Sleep(4 * time.Second) // clients are told 503, the backoff has grown
			rotate(key)
		}
		begun := time.Now()
		time.Sleep(200 * time.Millisecond) // calls with the old key end
		before := k.Stats().Records
		for k.Stats().Records == before && time.Since(begun) < time.Minute {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(begun); took > 30*time.Second { // 10 and then some for a busy machine
			t.Fatalf("unexpected time until delivery goes on; got %v; want up to 10s; log:\n%s", took, p.text())
		} else {
			t.Logf("delivery goes on %v after the rotation", took.Round(time.Millisecond))
		}
	}
	if code := p.signal(syscall.SIGTERM); code != 0 {
		t.Errorf("unexpected exit code; got %d; want 0; log:\n%s", code, p.text())
	}
	l.wg.Wait()
	got, lost := numbers(t, k, "logs"), 0
	for i := range l.acked {
		if got[i] == 0 {
			lost++
		}
	}
	for i, n := range got {
		if n > 1 {
			t.Fatalf("unexpected copies of event %d; got %d; want 1: a refusal stores nothing", i, n)
		}
	}
	if lost > 0 || len(l.other) > 0 {
		t.Errorf("unexpected result; got %d of %d acknowledged events lost, answers %v; want none", lost, len(l.acked), l.other)
	}
	t.Logf("%d events acknowledged, %d stored", len(l.acked), len(got))
}
