// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/internal/option"
)

var update = flag.Bool("update", false, "write docs/options.md anew")

func TestOptionsDocument(t *testing.T) {
	path := filepath.Join("..", "..", "..", "docs", "options.md")
	want := Markdown()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/options.md is not what the table of options gives; run: go generate ./fluentbit/internal/plugin")
	}
}

// What the producer, the AWS client and the dead letter file can do, an output can be told.
func TestEverySharedOptionIsThere(t *testing.T) {
	shared := slices.Concat(option.Specs(sharedAWS()), option.Specs(sharedProducer()), option.Specs(sharedDeadLetter()), option.Specs(sharedMetrics()))
	ours := option.Specs(Options())
	for _, s := range shared {
		if option.Find(ours, s.Name) == nil {
			t.Errorf("the shared option %s is in no section", s.Name)
		}
	}
}

func TestEveryOptionOfThePeersIsKnown(t *testing.T) {
	known := map[string]bool{}
	for _, o := range Options() {
		for _, name := range o.Names() {
			known[name] = true
		}
	}
	for _, peer := range []string{
		// kinesis_streams; port cannot be seen, see docs/options.md
		"region,stream,time_key,time_key_format,log_key,role_arn,external_id,endpoint,sts_endpoint,auto_retry_requests,profile,simple_aggregation,compression",
		// kinesis
		"region,stream,partition_key,data_keys,log_key,role_arn,endpoint,sts_endpoint,append_newline,time_key,time_key_format,experimental_concurrency," +
			"experimental_concurrency_retries,aggregation,compression,replace_dots,http_request_timeout",
	} {
		for _, name := range strings.Split(peer, ",") {
			if !known[name] {
				t.Errorf("option %s of a peer is not known", name)
			}
		}
	}
}
