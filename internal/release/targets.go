// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

const module = "github.com/outkpl/outkpl"

// target is one file to publish.
type target struct {
	name, pkg    string
	goos, goarch string
	shared       bool // the plugin: a shared object, with cgo
}

// file is the name of the published file. The version is in the program and in the
// name of the release, not here, so that links to the latest release stay the same.
func (t target) file() string {
	name := t.name + "_" + t.goos + "_" + t.goarch
	switch {
	case t.shared:
		return name + ".so"
	case t.goos == "windows":
		return name + ".exe"
	}
	return name
}

// targets lists everything that is published.
func targets() []target {
	var list []target
	for _, arch := range []string{"amd64", "arm64"} {
		list = append(list, target{"out_kpl", "./fluentbit", "linux", arch, true})
		for _, goos := range []string{"linux", "darwin", "windows"} {
			list = append(list,
				target{"kpl-http", "./cmd/kpl-http", goos, arch, false},
				target{"kplcat", "./cmd/kplcat", goos, arch, false},
				target{"kpl-replay", "./cmd/kpl-replay", goos, arch, false},
				target{"kpl-local", "./cmd/kpl-local", goos, arch, false},
			)
		}
	}
	return list
}

// compiler returns the C compiler for Linux on an architecture, and what to install if
// it is missing. kind is gcc, or the path of zig.
func compiler(kind, arch, glibc string) (cc []string, install string) {
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]
	if kind != "gcc" {
		return []string{kind, "cc", "-target", machine + "-linux-gnu." + glibc}, "make release installs it; by hand: pip install ziglang"
	}
	if arch == hostArch {
		return []string{"gcc"}, "apt-get install gcc libc6-dev"
	}
	return []string{machine + "-linux-gnu-gcc"},
		fmt.Sprintf("apt-get install gcc-%s-linux-gnu libc6-dev-%s-cross", strings.ReplaceAll(machine, "_", "-"), arch)
}
