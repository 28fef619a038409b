// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/combined"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector"
)

// A batch of Vector becomes few records with the configuration in conf/combine, and one
// record an event where the configuration says so; no event is lost or changed.
func TestCombinedBatchComesBackWhole(t *testing.T) {
	const n = 500
	var events []string
	for i := range n {
		events = append(events, fmt.Sprintf(`{"message":"request %d served","host":"web"}`, i))
	}
	k := kinesistest.New(kinesistest.WithStream("logs", 2), kinesistest.WithStream("logs-vector", 2), kinesistest.WithStream("logs-single", 2))
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = k.Close() }()
	address, end := kplHTTP(t, "conf/combine/kpl-http.yaml", k.URL())
	for path, most := range map[string]int{"logs-vector": 2, "logs-single": n} {
		res, err := http.Post("http://"+address+"/streams/"+path, "application/json", strings.NewReader("["+strings.Join(events, ",")+"]"))
		if err != nil {
			t.Fatal(err)
		}
		if _ = res.Body.Close(); res.StatusCode != http.StatusOK {
			t.Errorf("%s: unexpected answer; got %s; want 200", path, res.Status)
		}
		var d combined.Decoder
		var got []string
		users := k.Consume(path).Records
		for _, u := range users {
			r, err := d.Decode(u.Data)
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]string{true: combined.Zstd, false: combined.None}[most < n]; r.Compression != want {
				t.Errorf("%s: unexpected compression; got %s; want %s", path, r.Compression, want)
			}
			for _, e := range r.Events {
				got = append(got, string(e))
			}
		}
		slices.Sort(got)
		if want := slices.Sorted(slices.Values(events)); !slices.Equal(got, want) {
			t.Errorf("%s: unexpected events; got %d; want the %d that were sent, as they were", path, len(got), n)
		}
		if len(users) > most || most == n && len(users) != n {
			t.Errorf("%s: unexpected number of records; got %d; want %d", path, len(users), most)
		}
	}
	if code := end(); code != 0 {
		t.Errorf("unexpected exit code; got %d; want 0", code)
	}
}

// kplHTTP runs kpl-http with a file of conf at a free port, into another Kinesis.
func kplHTTP(t *testing.T, path, endpoint string) (address string, end func() int) {
	t.Helper()
	for k, v := range map[string]string{
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(k, v)
	}
	ctx, cancel := context.WithCancel(t.Context())
	logs, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- vector.Main(ctx, []string{
			"--config=" + filepath.Join(root, path), "--server.listen=127.0.0.1:0", "--server.admin_listen=off", "--server.drain_delay=0", "--aws.endpoint=" + endpoint,
		}, nil, io.Discard, w)
		_ = w.Close()
	}()
	var log bytes.Buffer
	buf := make([]byte, 4096)
	for address == "" {
		read, err := logs.Read(buf)
		log.Write(buf[:read])
		if m := regexp.MustCompile(`msg=serving listen=(\S+)`).FindSubmatch(log.Bytes()); m != nil {
			address = string(m[1])
		} else if err != nil {
			cancel()
			t.Fatalf("kpl-http did not start: exit code %d\n%s", <-code, log.Bytes())
		}
	}
	go func() { _, _ = io.Copy(io.Discard, logs) }() // ends with the program
	return address, func() int {
		cancel()
		defer http.DefaultClient.CloseIdleConnections()
		return <-code
	}
}
