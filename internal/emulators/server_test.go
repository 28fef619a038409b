// SPDX-License-Identifier: Apache-2.0

package emulators_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outkpl/outkpl/internal/emulators"
	"github.com/outkpl/outkpl/internal/emulators/emulatorstest"
)

// helperEnv makes the test program the one that is killed in TestServerEndsWithItsStarter.
const helperEnv = "EMULATORS_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		startAndHang()
	}
	goleak.VerifyTestMain(m)
}

func startAndHang() {
	s, err := emulators.StartKinesalite(context.Background(), emulators.Config{})
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(s.URL() + "\n")
	select {}
}

func TestStop(t *testing.T) {
	for _, kind := range []emulators.Kind{emulators.Kinesalite, emulators.KinesisLocal} {
		t.Run(string(kind), func(t *testing.T) {
			s := emulatorstest.Start(t, kind, emulators.Config{})
			if !answers(s.URL()) {
				t.Fatalf("%s does not answer at %s", kind, s.URL())
			}
			if !strings.HasPrefix(s.URL(), "http://127.0.0.1:") {
				t.Errorf("unexpected URL; got %s; want a loopback address", s.URL())
			}
			s.Stop()
			s.Stop()
			if answers(s.URL()) {
				t.Errorf("%s still answers after Stop", kind)
			}
		})
	}
}

// TestSurvivesABrokenRequest breaks off in the middle of a request, as a
// producer does that is closed; a server that dies of it fails whatever test
// comes next.
func TestSurvivesABrokenRequest(t *testing.T) {
	s := emulatorstest.Start(t, emulators.Kinesalite, emulators.Config{})
	c, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	// The answer "100 Continue" says that the server is at the body.
	if _, err := c.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first answer may come before the break is noticed
		if !answers(s.URL()) {
			t.Fatalf("the server does not answer any more; it printed: %s", s.Output())
		}
	}
}

// TestListensOnLoopbackOnly connects to the port through the machine's other
// addresses.
func TestListensOnLoopbackOnly(t *testing.T) {
	s := emulatorstest.Start(t, emulators.KinesisLocal, emulators.Config{})
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, a := range addrs {
		ip, ok := a.(*net.IPNet)
		if !ok || ip.IP.IsLoopback() || ip.IP.IsLinkLocalUnicast() {
			continue
		}
		tried++
		if c, err := net.DialTimeout("tcp", net.JoinHostPort(ip.IP.String(), port), time.Second); err == nil {
			_ = c.Close()
			t.Errorf("the server is open at %s", ip.IP)
		}
	}
	if tried == 0 {
		t.Skip("this machine has loopback addresses only")
	}
}

func TestServerEndsWithItsStarter(t *testing.T) {
	emulatorstest.Require(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), helperEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, err := out.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSpace(string(b[:n]))
	if !answers(url) {
		t.Errorf("no server at %q before its starter is killed", url)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // reports the signal
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for answers(url) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the server at %s has outlived its starter by 20 s", url)
		}
	}
}

func TestStartRefuses(t *testing.T) {
	emulatorstest.Require(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name   string
		ctx    context.Context
		kind   emulators.Kind
		config emulators.Config
		want   string
	}{
		{"an unknown emulator", t.Context(), "localstack", emulators.Config{}, `emulator "localstack" is not known; allowed: kinesalite, kinesis-local`},
		{
			"times out of range, all named", t.Context(), emulators.Kinesalite,
			emulators.Config{CreateTime: -1, ReshardTime: time.Hour},
			"create time -1ns is out of range; allowed: 1ms to 1m0s\nreshard time 1h0m0s is out of range",
		},
		{"a context that has ended", ended, emulators.Kinesalite, emulators.Config{}, "context canceled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := emulators.Start(tt.ctx, tt.kind, tt.config)
			if err == nil {
				s.Stop()
				t.Fatal("unexpected start; want an error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("unexpected error; got %v; want %q in it", err, tt.want)
			}
		})
	}
}

func TestAvailable(t *testing.T) {
	t.Run("node is missing", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		err := emulators.Available()
		if !errors.Is(err, emulators.ErrUnavailable) || !strings.Contains(err.Error(), "apt-get install nodejs npm") {
			t.Errorf("unexpected error; got %v; want ErrUnavailable and what to install", err)
		}
	})
	t.Run("outside the repository", func(t *testing.T) {
		emulatorstest.Require(t)
		t.Chdir(t.TempDir())
		if err := emulators.Available(); !errors.Is(err, emulators.ErrUnavailable) {
			t.Errorf("unexpected error; got %v; want ErrUnavailable", err)
		}
	})
}

// answers reports whether anything speaks HTTP at the URL.
func answers(url string) bool {
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Get(url)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return true
}
