// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/testkit"
)

// smallDisk is a folder with room for little.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("cannot make a small disk: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// What an operator sees first when something is wrong is what is wrong, and what to do.
func TestFirstLineNamesCauseAndRemedy(t *testing.T) {
	secure := kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithTLS())
	if err := secure.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = secure.Close() }) // behind the parallel tests
	silent, closed := testkit.SilentAddress(t), testkit.FreeAddress(t)
	fail := func(op, code, message string) []kinesistest.Fault {
		return []kinesistest.Fault{{Operation: op, Effect: kinesistest.Fail(code, message)}}
	}
	none := []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_EC2_METADATA_DISABLED=true"}
	for _, tc := range []struct {
		name          string
		faults        []kinesistest.Fault
		env           []string
		url           string // default: a server of its own
		stream        string
		lines         func(t *testing.T) []string
		limits        bool
		cause, remedy string
	}{
		{name: "no credentials", env: none, cause: "there are no credentials", remedy: "set AWS_PROFILE or 'profile'"},
		{name: "expired", faults: fail("", "ExpiredTokenException", "The security token included in the request is expired"), cause: "the credentials have expired", remedy: "renew them"},
		{name: "wrong region", faults: fail("", "InvalidSignatureException", "Credential should be scoped to a valid region, not 'eu-west-1'."), cause: "signed for another region", remedy: "make 'region' and 'endpoint'"},
		{name: "wrong signature", faults: fail("", "InvalidSignatureException", "The request signature we calculated does not match"), cause: "the signature is wrong", remedy: "check the secret key"},
		{name: "clock", faults: fail("", "InvalidSignatureException", "Signature expired: 20261129T100000Z is now earlier than 20261129T101500Z"), cause: "the clock of this machine is wrong", remedy: "set the clock"},
		{name: "unknown authority", url: secure.URL(), cause: "an authority that is not known", remedy: "set 'ca_file'"},
		{name: "DNS", url: "http://kinesis.nowhere.invalid", cause: "the name of the endpoint is not found", remedy: "check 'region', 'endpoint'"},
		{name: "refused", url: "http://" + closed, cause: "nothing listens at the endpoint", remedy: "check host and port of 'endpoint'"},
		{name: "hanging", url: "http://" + silent, cause: "there is no answer in time", remedy: "check security groups"},
		{name: "access denied", faults: fail("PutRecords", "AccessDeniedException", "User: x is not authorized"), cause: "kinesis:PutRecords is missing", remedy: "allow kinesis:PutRecords"},
		{name: "KMS denied", faults: fail("PutRecords", "KMSAccessDeniedException", "not allowed"), cause: "kms:GenerateDataKey is missing", remedy: "allow kms:GenerateDataKey"},
		{name: "no such stream", stream: "nosuch", cause: "there is no such stream in region eu-west-1", remedy: "correct 'region' or 'stream'"},
		{name: "throttled", faults: []kinesistest.Fault{{Operation: "PutRecords", Effect: kinesistest.ThrottleEntries()}}, cause: "a shard is at its limit", remedy: "add shards"},
		{name: "stream too small", limits: true, cause: "the stream is too small", remedy: "would do"},
		{name: "disk of dead letters full", lines: func(t *testing.T) []string {
			return []string{"dead_letter_file: " + filepath.Join(smallDisk(t), "dead.jsonl")}
		}, cause: "the disk is full", remedy: "free space"},
		{name: "disk of the journal full", lines: func(t *testing.T) []string {
			dir := smallDisk(t)
			_ = os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 128<<10), 0o600) // as much as there is room for
			return []string{"journal_dir: " + filepath.Join(dir, "journal")}
		}, cause: "the disk is full", remedy: "free space"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			stream := "logs"
			if tc.stream != "" {
				stream = tc.stream
			}
			url := tc.url
			if url == "" {
				options := []kinesistest.Option{kinesistest.WithStream("logs", 1)}
				if tc.limits {
					options = append(options, kinesistest.WithLimits(kinesistest.AWSLimits), kinesistest.WithCountOnly())
				}
				s := kinesistest.New(options...)
				for _, f := range tc.faults {
					s.Fault(f)
				}
				if err := s.Start(); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				url = s.URL()
			}
			var more []string
			if tc.lines != nil {
				more = tc.lines(t)
			}
			size := 1000
			switch {
			case tc.limits:
				size = 8000
			case strings.Contains(tc.name, "dead letters"):
				size = 2 << 20 // larger than the stream takes
			}
			input := filepath.Join(t.TempDir(), "app.log")
			line, lines := strings.Repeat("x", size)+"\n", 1
			if tc.limits {
				lines = 24 << 20 / len(line)
			}
			if err := os.WriteFile(input, []byte(strings.Repeat(line, lines)), 0o600); err != nil {
				t.Fatal(err)
			}
			h := newHost(t, settings{
				inputs:  [][]string{{"name: tail", "path: " + input, "read_from_head: on", "buffer_chunk_size: 4M", "buffer_max_size: 8M"}},
				outputs: [][]string{output(url, stream, 2, more...)},
			})
			h.env = tc.env
			h.start()
			line = ""
			found := h.eventually(maxWait, func() bool {
				line = regexp.MustCompile(`(?m)^.*\[(?: warn|error)\] \[output:kpl.*$`).FindString(h.logged())
				return line != ""
			})
			t.Log(line)
			if !found || !strings.Contains(line, tc.cause) || !strings.Contains(line, tc.remedy) {
				t.Errorf("unexpected first line; got %q; want the cause %q and the remedy %q; log:\n%s", line, tc.cause, tc.remedy, h.tail())
			}
			_ = h.cmd.Process.Kill()
			h.eventually(5*time.Second, func() bool { return !h.alive() })
		})
	}
}
