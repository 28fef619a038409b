// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What README.md says can be got is what a release has, and each of it is said there.
func TestReadmeNamesWhatAReleaseHas(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	_, text, ok := strings.Cut(read("README.md"), "\n## Get it\n")
	text, _, _ = strings.Cut(text, "\n## ")
	if !ok {
		t.Fatal("README.md has no section Get it")
	}
	var files, names []string
	for _, target := range targets() {
		files, names = append(files, target.file()), append(names, target.name)
	}
	for _, m := range regexp.MustCompile("`([\\w-]+_(?:linux|darwin|windows)_[\\w.]+)`").FindAllStringSubmatch(text, -1) {
		if !slices.Contains(files, m[1]) {
			t.Errorf("README.md: %s is no file of a release", m[1])
		}
	}
	for _, name := range names {
		if !strings.Contains(text, "`"+name+"_linux_amd64") {
			t.Errorf("README.md: the files of %s are missing", name)
		}
	}
	workflow := read(".github/workflows/release.yml")
	images := regexp.MustCompile("`ghcr\\.io/outkpl/([\\w-]+)`").FindAllStringSubmatch(text, -1)
	for _, m := range images {
		if !strings.Contains(workflow, "- {name: "+m[1]+", ") {
			t.Errorf("README.md: no image %s is published", m[1])
		}
	}
	installs := regexp.MustCompile("`go install "+regexp.QuoteMeta(module)+"/(cmd/[\\w-]+)@latest`").FindAllStringSubmatch(text, -1)
	for _, m := range installs {
		if _, err := os.Stat(filepath.Join("..", "..", m[1], "main.go")); err != nil {
			t.Errorf("README.md: %v", err)
		}
	}
	if len(images) < 4 || len(installs) < 4 || !strings.Contains(text, "`go get "+module+"/core`") {
		t.Errorf("unexpected section; got %d images, %d programs; want all, and the library", len(images), len(installs))
	}
}
