// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"slices"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/internal/fieldtest"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// What is remembered of a body are numbers of records, which mean nothing once records
// are made otherwise. A new option counts until it is named in notShaping.
func TestTheFingerprintOfABodyFollowsTheOptionsThatShapeRecords(t *testing.T) {
	cfg, err := config.Load(config.Sources{Args: []string{"--route.stream=logs"}})
	if err != nil {
		t.Fatal(err)
	}
	plain := fingerprintOf(cfg, cfg.Route, false)
	named := map[string]bool{}
	for _, n := range notShaping {
		named[n] = false
	}
	fieldtest.Each(t, cfg, func(path string) {
		part, _, _ := strings.Cut(path, ".")
		not := slices.Contains(notShaping, path) || slices.Contains(notShaping, part)
		named[path], named[part] = true, true
		if same := fingerprintOf(cfg, cfg.Route, false) == plain; same != not {
			t.Errorf("unexpected fingerprint with another %s; got the same: %v; want %v", path, same, not)
		}
	})
	for n, there := range named {
		if !there {
			t.Errorf("unexpected name in notShaping: %s; want an option", n)
		}
	}
	other := cfg.Route
	other.LogKey = "log"
	if fingerprintOf(cfg, other, false) == plain {
		t.Error("unexpected fingerprint of another route; want one of its own")
	}
}
