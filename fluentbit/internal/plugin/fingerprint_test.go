// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"slices"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/internal/fieldtest"
)

// What is remembered of a chunk are numbers of records, which mean nothing once records
// are made otherwise. A new option counts until it is named in notShaping.
func TestTheFingerprintOfAChunkFollowsTheOptionsThatShapeRecords(t *testing.T) {
	cfg, err := ParseConfig(with("dead_letter_file", "/x", "partition_key", "k", "stream_allow", "a"), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	plain := cfg.fingerprint(true)
	named := map[string]bool{}
	for _, n := range notShaping {
		named[n] = false
	}
	fieldtest.Each(t, &cfg, func(path string) {
		part, _, _ := strings.Cut(path, ".")
		not := slices.Contains(notShaping, path) || slices.Contains(notShaping, part)
		named[path], named[part] = true, true
		if path == "DeadLetterFile" {
			not = true // only whether there is one
		}
		if same := cfg.fingerprint(true) == plain; same != not {
			t.Errorf("unexpected fingerprint with another %s; got the same: %v; want %v", path, same, not)
		}
	})
	for n, there := range named {
		if !there {
			t.Errorf("unexpected name in notShaping: %s; want a field of Config", n)
		}
	}
	if cfg.fingerprint(false) == plain {
		t.Error("unexpected fingerprint without a place for dead letters; want another one")
	}
}

// A chunk that comes again under other options is another chunk.
func TestChunksOfOtherOptionsAreNotResumed(t *testing.T) {
	in, _, _ := newTest(t, confirmAll)
	other, _, _ := newTest(t, confirmAll, "log_key", "log")
	if in.fingerprint == other.fingerprint {
		t.Error("unexpected fingerprint; want one for each configuration")
	}
	again, _, _ := newTest(t, confirmAll)
	if in.fingerprint != again.fingerprint || slices.Equal(in.fingerprint[:], make([]byte, 16)) {
		t.Errorf("unexpected fingerprint %x; want that of an equal configuration, %x", in.fingerprint, again.fingerprint)
	}
}
