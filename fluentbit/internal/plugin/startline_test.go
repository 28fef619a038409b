// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/internal/testkit"
)

// The first line is what people compare with what they meant, wherever the address is set.
func TestFirstLineShowsWhereRecordsGo(t *testing.T) {
	profile := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(profile, []byte("[profile trial]\nregion = eu-north-1\nendpoint_url = http://127.0.0.1:3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name         string
		env, options []string
		want         string
	}{
		{"AWS", []string{"AWS_REGION", "eu-west-1"}, nil, "region=eu-west-1 endpoint=https://kinesis.eu-west-1.amazonaws.com"},
		{"FIPS", []string{"AWS_USE_FIPS_ENDPOINT", "true"}, []string{"region", "us-east-1"}, "endpoint=https://kinesis-fips.us-east-1.amazonaws.com"},
		{"option", []string{"AWS_ENDPOINT_URL", "http://127.0.0.1:2"}, []string{"region", "eu-west-1", "endpoint", "http://127.0.0.1:1"}, "endpoint=http://127.0.0.1:1"},
		{"environment", []string{"AWS_REGION", "eu-west-1", "AWS_ENDPOINT_URL", "http://127.0.0.1:2"}, nil, "endpoint=http://127.0.0.1:2"},
		{"environment of Kinesis", []string{"AWS_REGION", "eu-west-1", "AWS_ENDPOINT_URL", "http://127.0.0.1:2", "AWS_ENDPOINT_URL_KINESIS", "http://u:hush@127.0.0.1:4"}, nil, "@127.0.0.1:4"},
		{"profile", []string{"AWS_PROFILE", "trial", "AWS_CONFIG_FILE", profile}, nil, "region=eu-north-1 endpoint=http://127.0.0.1:3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testkit.AWSEnvironment(t, "test", tt.env...)
			kv := MapConfig{"stream": "logs", "startup_check": "off"}
			for i := 0; i < len(tt.options); i += 2 {
				kv[tt.options[i]] = tt.options[i+1]
			}
			cfg, err := ParseConfig(kv, os.Getenv)
			if err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			in, err := New(cfg, Deps{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			if err := in.Close(t.Context()); err != nil {
				t.Error(err)
			}
			line, _, _ := strings.Cut(log.String()[max(0, strings.Index(log.String(), "msg=started")):], "\n")
			if !strings.Contains(line, tt.want) || strings.Count(line, "endpoint=") != 1 || strings.Contains(line, "hush") {
				t.Errorf("unexpected line; got %q; want %q in it, and one endpoint without a password", line, tt.want)
			}
		})
	}
}
