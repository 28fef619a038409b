// SPDX-License-Identifier: Apache-2.0

// Package docscheck holds tests of the documentation: what it names must exist, and the
// code blocks of README.md must work.
package docscheck

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// files returns the paths of all files of the repository that match the pattern.
func files(t *testing.T, pattern string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if name == ".cache" || name == "node_modules" || name == "target" || name == "build" || name == "testdata" || strings.HasPrefix(name, ".git") && path != root {
				return filepath.SkipDir
			}
			return nil
		}
		if ok, err := filepath.Match(pattern, name); ok || err != nil {
			list = append(list, path)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEachRowOfParityNamesATestThatExists(t *testing.T) {
	tests := map[string]bool{}
	name := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, path := range files(t, "*_test.go") {
		for _, m := range name.FindAllStringSubmatch(read(t, path), -1) {
			tests[m[1]] = true
		}
	}
	rows := 0
	for i, line := range strings.Split(read(t, filepath.Join(root, "docs", "parity.md")), "\n") {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		last := cells[len(cells)-1]
		if last == "Test" {
			continue
		}
		rows++
		for _, name := range strings.Split(last, ", ") {
			if !tests[name] {
				t.Errorf("docs/parity.md:%d: unexpected test in the last column; got %q; want one that exists", i+1, name)
			}
		}
	}
	if rows < 80 {
		t.Errorf("unexpected number of rows; got %d; want the whole table", rows)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	fence   = regexp.MustCompile("(?s)```.*?```")
	drop    = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns the names that headings of a Markdown file can be linked by.
func anchors(text string) map[string]bool {
	names := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		name := strings.ToLower(drop.ReplaceAllString(m[1], ""))
		names[strings.ReplaceAll(name, " ", "-")] = true
	}
	return names
}

func TestLinksLeadSomewhere(t *testing.T) {
	n := 0
	for _, path := range files(t, "*.md") {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(read(t, path), ""), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue // not ours to test
			}
			n++
			file := path
			if target != "" {
				file = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: link %s leads nowhere: %v", path, m[1], err)
				continue
			}
			if anchor != "" && !anchors(read(t, file))[anchor] {
				t.Errorf("%s: link %s leads to a heading that does not exist", path, m[1])
			}
		}
	}
	if n == 0 {
		t.Error("no link was found")
	}
}
