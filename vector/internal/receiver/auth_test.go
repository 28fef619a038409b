// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/testkit"
	"github.com/outkpl/outkpl/vector/internal/config"
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

		// No memory is taken for the body.
		c := r.talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
		answerOn(t, c).want(t, 401, "unauthorized")
		_ = c.Close()
		if st := r.server.Stats(); st.Rejected[ReasonUnauthorized] == 0 || st.Bodies != 6 {
			t.Errorf("unexpected counts; got %d unauthorized, %d bodies; want some and 6", st.Rejected[ReasonUnauthorized], st.Bodies)
		}
	})
}

// A client that writes its whole body before it reads sees the refusal, at every size, and
// not a broken connection, after which it would send the body again.
func TestRefusalOfCredentialsArrivesBehindALargeBody(t *testing.T) {
	r := socketRig(t, []kinesistest.Option{kinesistest.WithStream("logs", 1)}, "--auth.bearer_env=ANY")
	defer r.stop()
	const size = 40 << 20
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for range 2 { // the connection can be used again
		if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\nContent-Length: %d\r\n\r\n", size); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(make([]byte, size)); err != nil {
			t.Fatalf("unexpected error of the client; got %v; want all taken", err)
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 401 || res.Close {
			t.Fatalf("unexpected answer; got %v, %v; want 401 on a connection that stays", res, err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	if used := r.server.Stats().BudgetUsed; used != 0 {
		t.Errorf("unexpected memory; got %d; want none", used)
	}
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

// Files of tokens come from editors and shells of all kinds.
func TestFormsOfTokenFiles(t *testing.T) {
	for _, c := range []struct{ name, text, problem string }{
		{"a newline at the end", "token\n", ""},
		{"none", "token", ""},
		{"lines of Windows", "# tokens\r\ntoken\r\n", ""},
		{"a byte order mark", "\ufefftoken\n", ""},
		{"a byte order mark before a comment", "\ufeff# tokens\r\ntoken\r\n", ""},
		{"UTF-16, as PowerShell writes it", "\xff\xfet\x00o\x00k\x00e\x00n\x00", "it is UTF-16; allowed: UTF-8"},
		{"UTF-16 the other way", "\xfe\xff\x00t\x00o\x00k\x00e\x00n", "it is UTF-16; allowed: UTF-8"},
		{"nothing but a mark", "\ufeff\n", "no entry in it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tokens")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			a, err := newAuthenticator(&config.Auth{BearerFiles: []string{path}}, os.Getenv, slog.New(slog.DiscardHandler))
			if c.problem != "" {
				if err == nil || !strings.Contains(err.Error(), c.problem) || !strings.Contains(err.Error(), path) {
					t.Errorf("unexpected error; got %v; want %q and the file", err, c.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
			req.Header.Set("Authorization", "Bearer token")
			if !a.allow(req) {
				t.Errorf("the token of the file is refused")
			}
		})
	}
}

// A file is read again whatever of it has changed: a new token often has the length of the
// old one, copies keep times, and volumes of Kubernetes change a symbolic link.
func TestChangesOfFilesThatTimeAndSizeDoNotShow(t *testing.T) {
	old := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	write := func(t *testing.T, path, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, old, old)); err != nil {
			t.Fatal(err)
		}
	}
	link := func(t *testing.T, to, path string) {
		t.Helper()
		if err := errors.Join(os.Symlink(to, path+".new"), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name          string
		before, after func(t *testing.T, dir string)
	}{
		{
			"written in place", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "tokens"), "token-a") },
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "tokens"), "token-b") },
		},
		{
			"another file of that name", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "tokens"), "token-a") },
			func(t *testing.T, dir string) {
				write(t, filepath.Join(dir, "next"), "token-b")
				if err := os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "tokens")); err != nil {
					t.Fatal(err)
				}
			},
		},
		{"a volume of Kubernetes", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "..1", "tokens"), "token-a")
			link(t, "..1", filepath.Join(dir, "..data"))
			link(t, filepath.Join("..data", "tokens"), filepath.Join(dir, "tokens"))
		}, func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "..2", "tokens"), "token-b")
			link(t, "..2", filepath.Join(dir, "..data"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.before(t, dir)
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "--auth.bearer_files="+filepath.Join(dir, "tokens"))
				defer r.stop()
				r.post(t.Context(), "/", ndjson(0, 1), "Authorization", "Bearer token-a").want(t, 200, "")
				c.after(t, dir)
				wait(t.Context(), 2*watchInterval)
				r.post(t.Context(), "/", ndjson(0, 1), "Authorization", "Bearer token-b").want(t, 200, "")
				r.post(t.Context(), "/", ndjson(0, 1), "Authorization", "Bearer token-a").want(t, 401, "")
			})
		})
	}
}

func TestLogsAndAnswersHoldNoContents(t *testing.T) {
	const secret = "sesame"
	synctest.Test(t, func(t *testing.T) {
		logs := &testkit.Buffer{}
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
		if text := logs.String(); strings.Contains(text, secret) || !strings.Contains(text, "reason=malformed") {
			t.Errorf("unexpected log; got %s; want lines without contents", text)
		}
	})
}
