// SPDX-License-Identifier: Apache-2.0

package kcltest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// Kplcat is the path of our kplcat, to hold it against the KCL.
type Kplcat string

// Shown is a user record as kplcat shows it.
type Shown struct {
	ShardID        string `json:"shard"`
	SequenceNumber string `json:"sequence"`
	// PartitionKey is empty if it is not UTF-8.
	PartitionKey string `json:"key"`
	Aggregated   bool   `json:"aggregated"`
	// Damaged is true for a record that begins as an aggregate and is none.
	Damaged bool   `json:"damaged_aggregate"`
	Data    []byte `json:"-"`
}

// BuildKplcat builds the program into a folder of the test.
func BuildKplcat(t testing.TB) Kplcat {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kplcat")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/outkpl/outkpl/cmd/kplcat").CombinedOutput(); err != nil {
		t.Fatalf("cannot build kplcat: %v: %s", err, out)
	}
	return Kplcat(path)
}

// Read has the program read a stream to its end, through a plain HTTP server of its
// own. The arguments are further flags.
func (p Kplcat) Read(t testing.TB, fake *kinesistest.Server, stream string, args ...string) []Shown {
	t.Helper()
	server := httptest.NewServer(fake.Handler())
	defer server.Close()
	cmd := exec.CommandContext(t.Context(), string(p), append([]string{"--endpoint", server.URL, "--data", "base64", stream}, args...)...)
	cmd.Env = append(cmd.Environ(), "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("cannot run kplcat: %v: %s", err, stderr.String())
	}
	var got []Shown
	for dec := json.NewDecoder(&stdout); ; {
		var line struct {
			Shown
			Data string `json:"data_base64"`
		}
		err := dec.Decode(&line)
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if line.Shown.Data, err = base64.StdEncoding.DecodeString(line.Data); err != nil {
			t.Fatal(err)
		}
		got = append(got, line.Shown)
	}
}
