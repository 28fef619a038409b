// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const hostArch = runtime.GOARCH

// environment is the caller's without what changes what is built.
func environment(set ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "CGO_") || slices.Contains([]string{
			"GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOEXPERIMENT", "GOFIPS140", "GODEBUG", "CC", "CXX", "SOURCE_DATE_EPOCH",
		}, name)
	})
	return append(env, set...)
}

// build makes one file and returns its path.
func (r *release) build(t target) (string, error) {
	out := filepath.Join(r.out, t.file())
	// No paths and no state of version control, no build id that depends on the
	// order of the build, and no symbol tables: people get them by building.
	ldflags := "-s -w -buildid= -X " + module + "/internal/version.stamped=" + r.version
	args := []string{"build", "-trimpath", "-buildvcs=false"}
	env := environment("GOOS="+t.goos, "GOARCH="+t.goarch, "GOAMD64=v1", "GOARM64=v8.0", "GOTOOLCHAIN=local")
	if t.shared {
		cc, install := compiler(r.cc, t.goarch, r.glibc)
		if _, err := exec.LookPath(cc[0]); err != nil {
			return "", fmt.Errorf("cannot build %s: the C compiler %s is missing; %s", t.file(), cc[0], install)
		}
		// Notes for debuggers would hold the path of the C compiler.
		env = append(env, "CGO_ENABLED=1", "CC="+strings.Join(cc, " "), "CGO_CFLAGS=-O2 -g0")
		ldflags += " '-extldflags=-Wl,--build-id=none -Wl,--strip-all'"
		args = append(args, "-buildmode=c-shared")
	} else {
		env = append(env, "CGO_ENABLED=0")
	}
	args = append(args, "-ldflags", ldflags, "-o", out, t.pkg)
	if err := r.run(env, "go", args...); err != nil {
		return "", fmt.Errorf("cannot build %s: %w", t.file(), err)
	}
	if t.shared {
		// The header is for programs in C that call the plugin, and there are none.
		if err := os.Remove(strings.TrimSuffix(out, ".so") + ".h"); err != nil {
			return "", err
		}
	}
	return out, nil
}

// run runs a command in the root of the module.
func (r *release) run(env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = r.root, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
