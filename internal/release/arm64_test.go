// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// The plugin for arm64 is loaded by the host program for arm64, both run by qemu, and
// what they were given has to arrive. ARM64 is the path of a built plugin, or empty.
func TestPluginForARM64DeliversUnderQemu(t *testing.T) {
	library, set := os.LookupEnv("ARM64")
	if !set {
		t.Skip("NOT TESTED here: the plugin for arm64; make test-arm64 does that")
	}
	dir := t.TempDir()
	if library == "" {
		r := release{root: "../..", out: dir, version: "v0.0.0-test", cc: "gcc", glibc: "2.99", only: "out_kpl_linux_arm64", noMaterials: true, progress: io.Discard}
		if err := r.do(false); err != nil {
			t.Fatal(err)
		}
		library = filepath.Join(dir, "out_kpl_linux_arm64.so")
	}
	library, err := filepath.Abs(library)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("../../fluentbit/internal/host/*.c")
	if err != nil {
		t.Fatal(err)
	}
	host := filepath.Join(dir, "flb-host")
	cc := append([]string{"-std=gnu11", "-O2", "-Wall", "-o", host}, sources...)
	if out, err := exec.Command("aarch64-linux-gnu-gcc", append(cc, "-rdynamic", "-lpthread", "-ldl", "-lm")...).CombinedOutput(); err != nil {
		t.Fatalf("cannot build the host program: %v\n%s", err, out)
	}
	srv := kinesistest.New(kinesistest.WithStream("logs", 4), kinesistest.WithLimits(kinesistest.Limits{}))
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	const events = 5000
	cmd := exec.Command("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", host, "--kubernetes", "5000", "-p", "workers=2",
		"-p", "stream=logs", "-p", "region=eu-west-1", "-p", "endpoint="+srv.URL(), library)
	cmd.Env = []string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true", "HOME=" + dir}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("the host program failed: %v\n%s", err, stderr.Bytes())
	}
	var sum struct{ Events, Chunks, OK int }
	if err := json.Unmarshal(stdout.Bytes(), &sum); err != nil {
		t.Fatalf("cannot read the sum of the host program: %v", err)
	}
	got := srv.Consume("logs")
	if sum.Events != events || sum.OK != sum.Chunks || len(got.Records) != events || len(got.Dropped) != 0 {
		t.Errorf("unexpected delivery; got %+v, %d read, %d dropped by the consumer; want %d, all OK", sum, len(got.Records), len(got.Dropped), events)
	}
	t.Logf("%d events in %d Kinesis records", len(got.Records), len(srv.Records("logs")))
}
