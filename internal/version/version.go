// SPDX-License-Identifier: Apache-2.0

// Package version says which version of the module a program was built from.
//
//	fmt.Println("kpl-http", version.Version())
//
// A release sets it when linking; otherwise it is what the Go command knows: the tag
// of a checkout or of a module, or a pseudo version. It never changes while a program runs.
package version

import "runtime/debug"

const (
	module  = "github.com/outkpl/outkpl"
	unknown = "devel"
)

// stamped is set by "go build -ldflags '-X .../internal/version.stamped=v1.2.3'". It is a
// variable because the linker cannot set anything else; nothing writes to it.
var stamped string

// Version returns the version of this module, such as v1.2.3, or "devel".
func Version() string {
	info, _ := debug.ReadBuildInfo()
	return of(stamped, info)
}

func of(stamped string, info *debug.BuildInfo) string {
	if stamped != "" {
		return stamped
	}
	if info == nil {
		return unknown
	}
	v := info.Main.Version
	if info.Main.Path != module {
		v = ""
		for _, d := range info.Deps {
			if d.Path == module {
				v = d.Version
			}
		}
	}
	if v == "" || v == "(devel)" {
		return unknown
	}
	return v
}
