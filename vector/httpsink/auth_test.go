// SPDX-License-Identifier: Apache-2.0

package httpsink

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	tokens, users := filepath.Join(dir, "tokens"), filepath.Join(dir, "users")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(tokens, "# old and new\ntoken-a\n\ntoken-b\n")
	write(users, "eve:pass:word\n")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--auth.bearer_files="+tokens, "--auth.basic_files="+users, "--auth.bearer_env=ANY")
		defer r.stop()
		try := func(name, authorization string, status int) {
			t.Helper()
			rp := r.post(t.Context(), "/", ndjson(0, 1), "Authorization", authorization)
			if rp.status != status {
				t.Errorf("%s: unexpected answer; got %d; want %d", name, rp.status, status)
			}
			if status == 401 && rp.header.Get("Www-Authenticate") == "" {
				t.Errorf("%s: no WWW-Authenticate", name)
			}
		}
		try("first token", "Bearer token-a", 200)
		try("second token", "bearer token-b", 200)
		try("token of the environment", "Bearer secret-2", 200)
		try("user", "Basic ZXZlOnBhc3M6d29yZA==", 200)
		try("wrong password", "Basic ZXZlOnBhc3M=", 401)
		try("comment", "Bearer # old and new", 401)
		try("nothing", "", 401)
		try("empty", "Bearer ", 401)
		try("other scheme", "Digest token-a", 401)

		write(tokens, "token-c-is-longer\n")
		wait(t.Context(), 2*watchInterval)
		try("new token", "Bearer token-c-is-longer", 200)
		try("removed token", "Bearer token-a", 401)

		write(tokens, "\n") // a half-written file locks nobody out
		wait(t.Context(), 2*watchInterval)
		try("token of before", "Bearer token-c-is-longer", 200)

		// Nothing of the body is read before the check.
		c := r.talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
		answerOn(t, c).want(t, 401, "unauthorized")
		_ = c.Close()
		if st := r.server.Stats(); st.Rejected[ReasonUnauthorized] == 0 || st.Bodies != 6 {
			t.Errorf("unexpected counts; got %d unauthorized, %d bodies; want some and 6", st.Rejected[ReasonUnauthorized], st.Bodies)
		}
	})
}

func TestSecretsThatCannotBeUsedAreAllReported(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "users")
	if err := os.WriteFile(bad, []byte("hush-hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, kinesis: kinesistest.New()}
	r.configure("--auth.basic_files="+bad, "--auth.bearer_files="+filepath.Join(dir, "none"), "--tls.cert_file=nowhere", "--tls.key_file=nowhere")
	_, err := New(r.cfg, nil, Deps{})
	if err == nil {
		t.Fatal("unexpected success; want an error")
	}
	for _, want := range []string{"line 1 of " + bad, "auth.bearer_files", "tls.cert_file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("unexpected error; got %v; want %q in it", err, want)
		}
	}
	if strings.Contains(err.Error(), "hush") {
		t.Errorf("a secret is in the error: %v", err)
	}
}

// lockedBuffer takes a log from several goroutines.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func TestLogsAndAnswersHoldNoContents(t *testing.T) {
	const secret = "sesame"
	synctest.Test(t, func(t *testing.T) {
		logs := &lockedBuffer{}
		r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1)), log: logs}
		r.configure("--limits.body_max_size=2MiB")
		r.start()
		large := []byte(`{"x":"` + secret + strings.Repeat("x", 1<<20) + `"}`)
		for _, c := range []struct {
			path, body string
			header     []string
		}{
			{"/", `{"a":"` + secret, nil},
			{"/", `{"` + secret + `":tru}`, []string{"Content-Type", "application/json"}},
			{"/", string(large), nil},
			{"/", "{}", []string{HeaderKey, strings.Repeat(secret, 100)}},
			{"/?partition_key_field=" + secret + "->", "{}", nil},
			{"/streams/" + secret, "{}", []string{"Authorization", "Bearer " + secret}},
			{"/", secret, []string{"Content-Encoding", "gzip"}},
		} {
			if rp := r.post(t.Context(), c.path, []byte(c.body), c.header...); strings.Contains(rp.body, secret) {
				t.Errorf("contents are in the answer: %d %s", rp.status, rp.body)
			}
		}
		r.stop()
		if text := logs.b.String(); strings.Contains(text, secret) || !strings.Contains(text, "reason=malformed") {
			t.Errorf("unexpected log; got %s; want lines without contents", text)
		}
	})
}
