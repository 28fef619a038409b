// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/internal/testkit"
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
			testkit.AWSEnvironment(t, "test", append([]string{"AWS_REGION", "eu-west-1"}, tt.env...)...)
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
