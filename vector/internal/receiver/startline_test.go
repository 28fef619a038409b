// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bufio"
	"context"
	"io"
	"os"
	"strings"
	"testing"
)

// The line that says what is served says where records go, too, wherever that is set.
func TestServingLineShowsWhereRecordsGo(t *testing.T) {
	for _, tt := range []struct {
		name       string
		env, flags []string
		want       string
	}{
		{"AWS", nil, nil, "region=eu-west-1 endpoint=https://kinesis.eu-west-1.amazonaws.com"},
		{"option", []string{"AWS_ENDPOINT_URL", "http://127.0.0.1:2"}, []string{"--aws.endpoint=http://127.0.0.1:1"}, "endpoint=http://127.0.0.1:1"},
		{"environment", []string{"AWS_ENDPOINT_URL_KINESIS", "http://u:hush@127.0.0.1:2"}, nil, "@127.0.0.1:2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range []string{"AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KINESIS", "AWS_USE_FIPS_ENDPOINT"} {
				t.Setenv(name, "")
			}
			t.Setenv("AWS_CONFIG_FILE", os.DevNull)
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
			t.Setenv("AWS_ACCESS_KEY_ID", "test")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
			t.Setenv("AWS_REGION", "eu-west-1")
			for i := 0; i < len(tt.env); i += 2 {
				t.Setenv(tt.env[i], tt.env[i+1])
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			logs, w := io.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				args := append([]string{"--server.listen=127.0.0.1:0", "--server.admin_listen=off", "--server.drain_delay=0", "--aws.startup_check=off", "--route.stream=logs"}, tt.flags...)
				Main(ctx, args, nil, io.Discard, w)
				_ = w.Close()
			}()
			line := ""
			for in := bufio.NewScanner(logs); in.Scan(); {
				if strings.Contains(in.Text(), "msg=serving") {
					line = in.Text()
					cancel()
				}
			}
			<-done
			if !strings.Contains(line, tt.want) || strings.Contains(line, "hush") {
				t.Errorf("unexpected line; got %q; want %q in it, and no password", line, tt.want)
			}
		})
	}
}
