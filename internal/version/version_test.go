// SPDX-License-Identifier: Apache-2.0

package version

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	for name, c := range map[string]struct {
		stamped string
		info    *debug.BuildInfo
		want    string
	}{
		"the stamp of a release wins":     {"v1.2.3", &debug.BuildInfo{Main: debug.Module{Path: module, Version: "v9"}}, "v1.2.3"},
		"the tag of a checkout":           {"", &debug.BuildInfo{Main: debug.Module{Path: module, Version: "v0.4.0"}}, "v0.4.0"},
		"a checkout without version":      {"", &debug.BuildInfo{Main: debug.Module{Path: module, Version: "(devel)"}}, "devel"},
		"a module of another program":     {"", &debug.BuildInfo{Main: debug.Module{Path: "a/b", Version: "v9"}, Deps: []*debug.Module{{Path: module, Version: "v0.5.0"}}}, "v0.5.0"},
		"a program without this module":   {"", &debug.BuildInfo{Main: debug.Module{Path: "a/b", Version: "v9"}}, "devel"},
		"a program without a description": {"", nil, "devel"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := of(c.stamped, c.info); got != c.want {
				t.Errorf("unexpected version; got %s; want %s", got, c.want)
			}
		})
	}
}
