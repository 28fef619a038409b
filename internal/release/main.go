// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// release is one run.
type release struct {
	root, out   string // folders
	version     string
	cc, glibc   string
	only        string
	noMaterials bool
	progress    io.Writer
}

// versions are those of Go modules: v1.2.3, v1.2.3-rc.1.
var versions = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

func main() {
	r := release{progress: os.Stderr}
	flag.StringVar(&r.root, "root", ".", "folder of the module")
	flag.StringVar(&r.out, "out", "build/release", "folder for the files; it is emptied first")
	flag.StringVar(&r.version, "version", "v0.0.0-dev", "version to stamp, as Go modules write it")
	flag.StringVar(&r.cc, "cc", "gcc", "C compiler of the plugin: gcc, or the path of zig")
	flag.StringVar(&r.glibc, "glibc", "2.17", "newest glibc whose symbols the plugin may need")
	flag.StringVar(&r.only, "only", "", "build only files whose names begin so")
	flag.BoolVar(&r.noMaterials, "no-sbom", false, "write no bills of materials, check no licences")
	check := flag.Bool("check", false, "build nothing, check what is there")
	flag.Parse()
	if err := r.do(*check); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (r *release) do(checkOnly bool) error {
	if !versions.MatchString(r.version) {
		return fmt.Errorf("unexpected version; got %q; want v1.2.3 or v1.2.3-rc.1", r.version)
	}
	var err error
	if r.root, err = filepath.Abs(r.root); err != nil {
		return err
	}
	if r.out, err = filepath.Abs(r.out); err != nil {
		return err
	}
	list := slices.DeleteFunc(targets(), func(t target) bool { return !strings.HasPrefix(t.file(), r.only) })
	if len(list) == 0 {
		return fmt.Errorf("no file begins with %q", r.only)
	}
	if checkOnly {
		var errs []error
		for _, t := range list {
			errs = append(errs, r.check(t))
		}
		return errors.Join(append(errs, r.verify())...)
	}
	if err := r.empty(); err != nil {
		return err
	}
	for _, t := range list {
		_, _ = fmt.Fprintln(r.progress, "build", t.file())
		if _, err := r.build(t); err != nil {
			return err
		}
		if err := r.check(t); err != nil {
			return err
		}
		if !r.noMaterials {
			if err := r.materials(t); err != nil {
				return err
			}
		}
	}
	return r.sums()
}

// empty makes the folder, and takes away what an earlier run has left in it.
func (r *release) empty() error {
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	for _, pattern := range []string{"out_kpl_*", "kpl-http_*", "kplcat_*", "kpl-replay_*", "kpl-local_*", sumsFile} {
		old, err := filepath.Glob(filepath.Join(r.out, pattern))
		if err != nil {
			return err
		}
		for _, path := range old {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// sumsFile is read by sha256sum -c.
const sumsFile = "SHA256SUMS"

func (r *release) current() (string, error) {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, e := range entries { // sorted by name
		if e.Name() == sumsFile || e.IsDir() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(r.out, e.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(data), e.Name())
	}
	return b.String(), nil
}

func (r *release) sums() error {
	text, err := r.current()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, sumsFile), []byte(text), 0o644)
}

// verify compares the files with the sums that were written.
func (r *release) verify() error {
	want, err := os.ReadFile(filepath.Join(r.out, sumsFile))
	if err != nil {
		return err
	}
	got, err := r.current()
	if err != nil {
		return err
	}
	if got != string(want) {
		return fmt.Errorf("%s does not fit the files in %s", sumsFile, r.out)
	}
	return nil
}
