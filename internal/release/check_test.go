// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"2.17", "2.17", false},
		{"2.2.5", "2.17", false},
		{"2.34", "2.17", true},
		{"2.3.4", "2.17", false},
		{"2.17.1", "2.17", true},
		{"3", "2.17", true},
		{"PRIVATE", "2.17", true},
	} {
		if got := newer(c.a, c.b); got != c.want {
			t.Errorf("unexpected order of %s and %s; got %t; want %t", c.a, c.b, got, c.want)
		}
	}
}

func TestTargets(t *testing.T) {
	names := map[string]bool{}
	for _, x := range targets() {
		names[x.file()] = true
	}
	if len(names) != 26 {
		t.Errorf("unexpected number of files; got %d; want 2 plugins and 4 programs for 6 platforms", len(names))
	}
	for _, name := range []string{"out_kpl_linux_amd64.so", "out_kpl_linux_arm64.so", "kpl-http_windows_arm64.exe", "kplcat_darwin_arm64", "kpl-replay_linux_amd64", "kpl-local_darwin_amd64"} {
		if !names[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestMissingCompilerSaysWhatToInstall(t *testing.T) {
	r := release{root: "../..", out: t.TempDir(), version: "v0.0.0", cc: "no-such-zig", glibc: "2.17"}
	_, err := r.build(target{"out_kpl", "./fluentbit", "linux", "arm64", true})
	if err == nil || !strings.Contains(err.Error(), "no-such-zig is missing") {
		t.Errorf("unexpected error; got %v", err)
	}
	if _, install := compiler("gcc", map[string]string{"amd64": "arm64", "arm64": "amd64"}[hostArch], "2.17"); !strings.HasPrefix(install, "apt-get install gcc-") {
		t.Errorf("unexpected advice; got %q", install)
	}
}

// Without a version nobody can say later what a file was built from.
func TestVersionHasToBeOne(t *testing.T) {
	for _, v := range []string{"", "1.2.3", "v1.2", "v1.2.3 -X main.x=y", "latest"} {
		r := release{root: "../..", out: t.TempDir(), version: v}
		if err := r.do(false); err == nil || !strings.Contains(err.Error(), "unexpected version") {
			t.Errorf("unexpected error of version %q; got %v", v, err)
		}
	}
}

func TestPluginIsChecked(t *testing.T) {
	library := os.Getenv("OUT_KPL_SO")
	if library == "" {
		t.Skip("NOT TESTED: symbols of the plugin; OUT_KPL_SO is not set, 'make test' sets it")
	}
	f, err := elf.Open(library)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := checkShared(f, library, "2.99"); err != nil {
		t.Errorf("unexpected problem: %v", err)
	}
	if err := checkShared(f, library, "2.1"); err == nil || !strings.Contains(err.Error(), "allowed: up to 2.1") {
		t.Errorf("unexpected result for a glibc that is too old; got %v", err)
	}
	if err := checkBuild(library, target{"out_kpl", "./fluentbit", "linux", "riscv64", true}); err == nil {
		t.Error("a plugin for another architecture was not noticed")
	}
}

func TestSumsNoticeAChange(t *testing.T) {
	r := release{out: t.TempDir()}
	path := filepath.Join(r.out, "kplcat_linux_amd64")
	for i, text := range []string{"a", "b"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := r.sums(); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.verify(); (err != nil) != (i == 1) {
			t.Errorf("unexpected result after %d changes; got %v", i, err)
		}
	}
}

func TestLicences(t *testing.T) {
	for text, want := range map[string]string{
		`{"bomFormat":"CycloneDX","components":[{"name":"a","evidence":{"licenses":[{"license":{"id":"MIT"}}]}},{"name":"std"}]}`: "",
		`{"bomFormat":"CycloneDX","components":[{"name":"a","version":"v1","licenses":[{"license":{"id":"GPL-3.0-only"}}]}]}`:     "unexpected licence of a v1; got [GPL-3.0-only]",
		`{"bomFormat":"CycloneDX","components":[{"name":"a","version":"v1"}]}`:                                                    "unexpected licence of a v1; got []",
		`{"bomFormat":"CycloneDX"}`: "lists no components",
		`{`:                         "cannot read",
	} {
		err := checkBill("x", []byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("unexpected result of %s; got %v; want %q", text, err, want)
		}
	}
	if bytes.Contains([]byte(strings.Join(allowed, " ")), []byte("GPL")) {
		t.Error("a program with such a module cannot be passed on under the Apache License")
	}
}
