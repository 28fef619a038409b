// SPDX-License-Identifier: Apache-2.0

package docscheck

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var code = regexp.MustCompile("`([^`\n]+)`")

// designPages are DESIGN.md and the decisions, by their path from the root.
func designPages(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{"DESIGN.md": read(t, filepath.Join(root, "DESIGN.md"))}
	decisions, err := filepath.Glob(filepath.Join(root, "docs", "design", "*.md"))
	if err != nil || len(decisions) < 20 {
		t.Fatalf("unexpected decisions; got %v (%v)", decisions, err)
	}
	for _, file := range decisions {
		pages["docs/design/"+filepath.Base(file)] = read(t, file)
	}
	return pages
}

// section is the text below a heading of the second level.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("DESIGN.md has no section %q", heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
	return err == nil
}

func TestTheMapOfFoldersIsThatOfTheTree(t *testing.T) {
	text := section(t, read(t, filepath.Join(root, "DESIGN.md")), "Map of the folders")
	named := map[string]bool{}
	for _, line := range strings.Split(text, "\n") {
		cells := strings.SplitN(line, "|", 3)
		if len(cells) < 3 {
			continue
		}
		for _, m := range code.FindAllStringSubmatch(cells[1], -1) {
			if named[m[1]] {
				t.Errorf("DESIGN.md: %s is in the map twice", m[1])
			}
			named[m[1]] = true
			if !strings.HasSuffix(m[1], "/") || !exists(m[1]) {
				t.Errorf("DESIGN.md: unexpected folder in the map; got %q; want one that exists, with a slash at its end", m[1])
			}
		}
	}
	for _, file := range files(t, "*.go") {
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			t.Fatal(err)
		}
		if name := filepath.ToSlash(dir) + "/"; !named[name] {
			t.Errorf("DESIGN.md: the map of the folders lacks %s", name)
			named[name] = true
		}
	}
}

// A package that has a table of its files has all of them in it.
func TestTheMapOfFilesIsThatOfTheTree(t *testing.T) {
	text := section(t, read(t, filepath.Join(root, "DESIGN.md")), "Map of the files")
	named := map[string][]string{}
	dir := ""
	for _, line := range strings.Split(text, "\n") {
		cells := strings.SplitN(line, "|", 3)
		if len(cells) < 3 {
			continue
		}
		if m := regexp.MustCompile("^ In `([^`]+)/` $").FindStringSubmatch(cells[1]); m != nil {
			dir = m[1]
			continue
		}
		for _, m := range code.FindAllStringSubmatch(cells[1], -1) {
			if !exists(path.Join(dir, m[1])) {
				t.Errorf("DESIGN.md: %s is in the map of the files and does not exist", path.Join(dir, m[1]))
			}
			named[dir] = append(named[dir], m[1])
		}
	}
	if len(named) < 4 {
		t.Errorf("unexpected tables of files; got %d", len(named))
	}
	for dir, names := range named {
		list, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range list {
			name := filepath.Base(file)
			first, _, _ := strings.Cut(name, "_") // otlp_json_value.go belongs to otlp.go
			if name == "doc.go" || strings.HasSuffix(name, "_test.go") || slices.Contains(names, name) || slices.Contains(names, first+".go") {
				continue
			}
			t.Errorf("DESIGN.md: the map of the files lacks %s/%s", dir, name)
		}
	}
}

// words are all names in the code of this repository.
func words(t *testing.T) map[string]bool {
	t.Helper()
	list := map[string]bool{}
	word := regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)
	for _, pattern := range []string{"*.go", "*.c", "*.h", "*.java", "*.yaml", "Makefile", "go.mod"} {
		for _, file := range files(t, pattern) {
			for _, w := range word.FindAllString(read(t, file), -1) {
				list[w] = true
			}
		}
	}
	return list
}

func TestWhatDesignNamesExists(t *testing.T) {
	known := words(t)
	n := 0
	for page, text := range designPages(t) {
		text = fence.ReplaceAllString(text, "")
		if page == "DESIGN.md" { // its names are relative, and have a test of their own
			text = strings.Replace(text, section(t, text, "Map of the files"), "", 1)
		}
		for _, m := range code.FindAllStringSubmatch(text, -1) {
			name := m[1]
			switch {
			case strings.ContainsAny(name, "= ") && !strings.HasPrefix(name, "make "):
				// An expression or a command of another program.
			case strings.HasSuffix(name, "/") || regexp.MustCompile(`\.(go|c|h|md|ya?ml)$`).MatchString(name) && strings.Contains(name, "/"):
				n++
				if !exists(name) {
					t.Errorf("%s: %s does not exist", page, name)
				}
			default:
				n++
				for _, w := range regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`).FindAllString(name, -1) {
					if !known[w] {
						t.Errorf("%s: %s: no code has the word %s", page, name, w)
					}
				}
			}
		}
	}
	if n < 200 {
		t.Errorf("unexpected number of names; got %d", n)
	}
}

func TestNumbersOfDesignAreThoseOfTheCode(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| `([^`]+)` \\| `([^`]+)` \\|")
	rows := row.FindAllStringSubmatch(section(t, read(t, filepath.Join(root, "DESIGN.md")), "Numbers"), -1)
	for _, m := range rows {
		name, value, file := m[1], m[2], m[3]
		is := regexp.MustCompile(`\b` + name + `(?:\s+\w+)?\s*[=:]\s*` + regexp.QuoteMeta(value) + `\s*(?:,|//|\n)`)
		if !is.MatchString(read(t, filepath.Join(root, filepath.FromSlash(file)))) {
			t.Errorf("DESIGN.md: %s is not %s in %s", name, value, file)
		}
	}
	if len(rows) < 10 {
		t.Errorf("unexpected rows; got %d", len(rows))
	}
}

// Each decision says when it was taken and what was rejected, and is in the index.
func TestDecisionsAreComplete(t *testing.T) {
	pages := designPages(t)
	index := pages["docs/design/README.md"]
	delete(pages, "docs/design/README.md")
	delete(pages, "DESIGN.md")
	numbers := map[string]string{}
	for page, text := range pages {
		name := regexp.MustCompile(`^docs/design/(\d{3})-[a-z0-9-]+\.md$`).FindStringSubmatch(page)
		if name == nil {
			t.Errorf("%s: unexpected name; want docs/design/NNN-title.md", page)
			continue
		}
		if other, ok := numbers[name[1]]; ok {
			t.Errorf("%s: %s has the same number", page, other)
		}
		numbers[name[1]] = page
		head := regexp.MustCompile(`^# ` + name[1] + `: (.+)\n\n(20\d\d-\d\d-\d\d(?:, changed 20\d\d-\d\d-\d\d)*)\n\n`).FindStringSubmatch(text)
		if head == nil {
			t.Errorf("%s: unexpected head; want number, title and date", page)
			continue
		}
		if row := fmt.Sprintf("| [%s](%s) | %s | %s |\n", name[1], path.Base(page), head[1], head[2]); !strings.Contains(index, row) {
			t.Errorf("docs/design/README.md lacks the row %q", row)
		}
		_, rejected, _ := strings.Cut(text, "\n## Rejected\n")
		if !strings.Contains(rejected, "\n- **") {
			t.Errorf("%s: it does not say what was rejected", page)
		}
	}
	for i := range len(numbers) {
		if n := fmt.Sprintf("%03d", i+1); numbers[n] == "" {
			t.Errorf("docs/design: number %s is left out", n)
		}
	}
}
