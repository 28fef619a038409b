// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"strings"
	"testing"

	"github.com/outkpl/outkpl/vector/internal/body"
)

// findKeys returns the keys of a body's events, as one finder finds them.
func findKeys(t *testing.T, data string) (*keyFinder, []body.Event, []string) {
	t.Helper()
	opt := body.Options{Path: []string{"k"}}
	events, err := body.Split(nil, []byte(data), body.FormatJSON, opt)
	if err != nil {
		t.Fatal(err)
	}
	finder := &keyFinder{rule: keyRule{path: opt.Path}, fields: opt}
	var keys []string
	for i := range events {
		keys = append(keys, finder.find(&events[i]))
	}
	return finder, events, keys
}

func TestKeysOfOneBodyKeepTheirText(t *testing.T) {
	long := strings.Repeat("x", 300)
	want := []string{"a\nb", "plain", "c\nd", "7", "", long[:255] + "\n", long[:256], "e\tf", "", "a\nb"}
	_, _, got := findKeys(t, `{"k":"a\nb"}{"k":"plain"}{"k":"c\nd"}{"k":7}{"k":""}{"k":"`+long[:255]+`\nyz"}{"k":"`+long+`"}{"k":"e\tf"}{"other":"x"}{"k":"a\nb"}`)
	if len(got) != len(want) {
		t.Fatalf("unexpected number of keys; got %d; want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("unexpected key of event %d; got %q; want %q", i, got[i], want[i])
		}
	}
}

func TestAKeyWithoutEscapesIsNoCopy(t *testing.T) {
	finder, events, _ := findKeys(t, `{"k":"one"}{"k":"another"}{"k":12}{"k":true}`)
	if n := testing.AllocsPerRun(10, func() {
		for i := range events {
			finder.find(&events[i])
		}
	}); n != 0 {
		t.Errorf("unexpected allocations for %d keys; got %v; want none", len(events), n)
	}
}
