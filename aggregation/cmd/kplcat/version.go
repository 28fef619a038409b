// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"runtime/debug"
)

// version says what was built, as far as the build knows.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "kplcat (unknown version)"
	}
	s := "kplcat " + cmp.Or(info.Main.Version, "(unknown version)")
	for _, kv := range info.Settings {
		switch {
		case kv.Key == "vcs.revision":
			s += " " + kv.Value
		case kv.Key == "vcs.modified" && kv.Value == "true":
			s += " (modified)"
		}
	}
	return s + " " + info.GoVersion
}

// moduleVersion is the version for the user agent.
func moduleVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
