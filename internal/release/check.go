// SPDX-License-Identifier: Apache-2.0

package main

import (
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// exports are the names that Fluent Bit looks for.
var exports = []string{"FLBPluginRegister", "FLBPluginInit", "FLBPluginFlushCtx", "FLBPluginExitCtx", "FLBPluginUnregister"}

// check looks at a built file.
func (r *release) check(t target) error {
	path := filepath.Join(r.out, t.file())
	if err := checkBuild(path, t); err != nil {
		return err
	}
	if t.goos != "linux" {
		return nil
	}
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	defer f.Close()
	if !t.shared {
		if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
			return fmt.Errorf("%s is not static", path)
		}
		return nil
	}
	return checkShared(f, path, r.glibc)
}

// checkShared looks at the plugin: what it exports, and what it wants of the machine.
func checkShared(f *elf.File, path, glibc string) error {
	var errs []error
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return fmt.Errorf("cannot read the symbols of %s: %w", path, err)
	}
	have := map[string]bool{}
	for _, s := range symbols {
		if s.Section == elf.SHN_UNDEF {
			if v, ok := strings.CutPrefix(s.Version, "GLIBC_"); ok && newer(v, glibc) {
				errs = append(errs, fmt.Errorf("%s needs %s of glibc %s; allowed: up to %s", path, s.Name, v, glibc))
			}
		} else {
			have[s.Name] = true
		}
	}
	for _, name := range exports {
		if !have[name] {
			errs = append(errs, fmt.Errorf("%s does not export %s", path, name))
		}
	}
	libs, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("cannot read the libraries of %s: %w", path, err)
	}
	for _, lib := range libs {
		if name, _, _ := strings.Cut(lib, "."); !slices.Contains([]string{"libc", "libpthread", "libdl", "libresolv", "ld-linux-x86-64", "ld-linux-aarch64"}, name) {
			errs = append(errs, fmt.Errorf("%s needs the library %s; allowed: only glibc", path, lib))
		}
	}
	return errors.Join(errs...)
}

// checkBuild compares what Go noted in the file with what was asked for.
func checkBuild(path string, t target) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read the build of %s: %w", path, err)
	}
	got := map[string]string{}
	for _, s := range info.Settings {
		got[s.Key] = s.Value
	}
	cgo := "0"
	if t.shared {
		cgo = "1"
	}
	for key, want := range map[string]string{"GOOS": t.goos, "GOARCH": t.goarch, "CGO_ENABLED": cgo, "-trimpath": "true"} {
		if got[key] != want {
			return fmt.Errorf("unexpected %s of %s; got %q; want %q", key, path, got[key], want)
		}
	}
	if info.Main.Path != module {
		return fmt.Errorf("unexpected module of %s; got %s; want %s", path, info.Main.Path, module)
	}
	return nil
}

// newer compares versions such as 2.17.
func newer(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, errA := strconv.Atoi(as[i])
		y, errB := strconv.Atoi(bs[i])
		if errA != nil || errB != nil {
			return true // GLIBC_PRIVATE and the like must not be used
		}
		if x != y {
			return x > y
		}
	}
	return len(as) > len(bs)
}
