// SPDX-License-Identifier: Apache-2.0

package emulators

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// KPLConfig says where and how the KPL writes.
type KPLConfig struct {
	// Endpoint is the URL of a server on 127.0.0.1 that speaks TLS, with any
	// certificate, such as https://127.0.0.1:34567. The KPL speaks nothing else.
	Endpoint string
	Stream   string
	// Options are options of the KPL by the names of its properties file, such as
	// RecordMaxBufferedTime or AggregationEnabled. Default: those of the KPL, but
	// without metrics.
	Options map[string]string
}

// KPLResult is what the KPL says of a user record.
type KPLResult struct {
	ShardID        string `json:"shard"`
	SequenceNumber string `json:"sequenceNumber"`
	// Errors are code and message of the attempts that failed.
	Errors []string `json:"errors"`
	// Error is why it gave up, or empty.
	Error string `json:"error"`
}

// RunKPL has the real KPL (amazon-kinesis-producer 1.1.1, with its native program)
// write records, waits for all of them and returns their results in the same order. Keys
// must be valid UTF-8. The native program is unpacked below the folder that "make
// jvm" makes; it is only there for Linux on x86-64 and arm64 and for macOS.
func RunKPL(ctx context.Context, c KPLConfig, records []Record) ([]KPLResult, error) {
	results, err := FeedKPL(ctx, c, slices.Values(records))
	if err == nil && len(results) != len(records) {
		err = fmt.Errorf("cannot run the KPL: got %d results for %d records", len(results), len(records))
	}
	return results, err
}

// BenchKPL is the command that loads the real KPL, with a JVM as it is by default; see
// BenchKPL.java for the arguments behind the port, the stream and the folder.
func BenchKPL(ctx context.Context, port, stream string, args ...string) (*exec.Cmd, error) {
	java, target, err := findJVM()
	if err != nil {
		return nil, fmt.Errorf("cannot run the KPL: %w", err)
	}
	folder := filepath.Join(target, "kpl")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("cannot run the KPL: %w", err)
	}
	call := jvmCall{class: "BenchKPL", args: append([]string{port, stream, folder}, args...)}
	path, err := call.classPath(target)
	if err != nil {
		return nil, fmt.Errorf("cannot run the KPL: %w", err)
	}
	flags := []string{"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", path, "outkpl." + call.class}
	return exec.CommandContext(ctx, java, append(flags, call.args...)...), nil
}

// FeedKPL is [RunKPL] with records that come one by one, as fast as the sequence gives them. To
// end the KPL before it has written all of them, cancel the context.
func FeedKPL(ctx context.Context, c KPLConfig, records iter.Seq[Record]) ([]KPLResult, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Scheme != "https" || u.Hostname() != "127.0.0.1" || u.Port() == "" {
		return nil, fmt.Errorf("cannot run the KPL: endpoint %q is not like https://127.0.0.1:1234", c.Endpoint)
	}
	_, target, err := findJVM()
	if err != nil {
		return nil, fmt.Errorf("cannot run the KPL: %w", err)
	}
	folder := filepath.Join(target, "kpl")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("cannot run the KPL: %w", err)
	}
	_, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		return nil, fmt.Errorf("cannot run the KPL: %w", err)
	}
	call := jvmCall{class: "RunKPL", args: []string{port, c.Stream, folder}}
	for k, v := range c.Options {
		call.args = append(call.args, k+"="+v)
	}
	written := 0
	var results []KPLResult
	err = runJVM(ctx, call, func(enc *json.Encoder) error {
		for r := range records {
			if err := enc.Encode(&r); err != nil {
				return err
			}
			written++
		}
		return nil
	}, func(dec *json.Decoder) error {
		return eachLine(dec, func(r *KPLResult) { results = append(results, *r) })
	})
	count("KPL", written, len(results))
	return slices.Clip(results), err
}
