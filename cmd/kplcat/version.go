// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime/debug"

	build "github.com/outkpl/outkpl/internal/version"
)

// version says what was built, as far as the build knows.
func version() string {
	s := "kplcat " + build.Version()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return s
	}
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
func moduleVersion() string { return build.Version() }
