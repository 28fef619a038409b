// SPDX-License-Identifier: Apache-2.0

// Package termscheck holds a test of words: one thing has one name, the one that the
// field uses, in identifiers, log lines, errors, comments and documents.
//
// terms.txt has the words that are not used any more, as regular expressions, and what
// is said instead. allowed.txt has the few places where such a word means something
// else: where (an expression for kind:path), the words, the reason.
package termscheck

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root       = "../.."
	maxAllowed = 30
)

type term struct {
	rx  *regexp.Regexp
	use string
}

type exception struct {
	where, rx    *regexp.Regexp
	line, reason string
	used         bool
}

// table reads the lines of a file that are no comments, as cells between tabs.
func table(t *testing.T, name string, cells int) (rows [][]string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if line := lines.Text(); line != "" && line[0] != '#' {
			row := strings.Split(line, "\t")
			if len(row) != cells || slices.Contains(row, "") {
				t.Fatalf("%s: unexpected line %q; want %d cells", name, line, cells)
			}
			rows = append(rows, row)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

func compile(t *testing.T, expression string) *regexp.Regexp {
	t.Helper()
	rx, err := regexp.Compile(`(?i)` + expression)
	if err != nil {
		t.Fatal(err)
	}
	return rx
}

func terms(t *testing.T) (list []term) {
	for _, row := range table(t, "terms.txt", 2) {
		expression := `(?:` + row[0] + `)`
		if !strings.HasPrefix(row[0], "^") && !strings.HasPrefix(row[0], "(?:^") {
			expression = `\b` + expression
		}
		if !strings.HasSuffix(row[0], "$") {
			expression += `\b`
		}
		list = append(list, term{compile(t, expression), row[1]})
	}
	return list
}

func exceptions(t *testing.T) (list []*exception) {
	for _, row := range table(t, "allowed.txt", 3) {
		list = append(list, &exception{where: compile(t, row[0]), rx: compile(t, `\b(?:`+row[1]+`)\b`), line: strings.Join(row, " | "), reason: row[2]})
	}
	return list
}

var (
	lowerUpper = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	upperWord  = regexp.MustCompile(`([A-Z]+)([A-Z][a-z])`)
	blanks     = regexp.MustCompile(`[\s_]+`)
)

// split makes words of the names in a text: readHTTPBody becomes read HTTP Body.
func split(text string) string {
	text = lowerUpper.ReplaceAllString(text, "$1 $2")
	text = upperWord.ReplaceAllString(text, "$1 $2")
	return strings.TrimSpace(blanks.ReplaceAllString(text, " "))
}

// checker looks for terms in pieces of text, each of a kind and at a place.
type checker struct {
	terms   []term
	allowed []*exception
	found   func(at, words, use string)
}

// check looks at a piece of text: where is kind:path.
func (c *checker) check(where, at, text string) {
	text = split(text)
	for _, e := range c.allowed {
		if e.where.MatchString(where) && e.rx.MatchString(text) {
			// Only what hides a term is in use.
			rest := e.rx.ReplaceAllString(text, "()")
			for _, term := range c.terms {
				if len(term.rx.FindAllString(rest, -1)) < len(term.rx.FindAllString(text, -1)) {
					e.used = true
				}
			}
			text = rest
		}
	}
	for _, term := range c.terms {
		for _, at2 := range term.rx.FindAllStringIndex(text, -1) {
			words := text[max(0, at2[0]-30):min(len(text), at2[1]+30)]
			c.found(where[:strings.IndexByte(where, ':')]+" at "+at, strings.ToValidUTF8(words, ""), term.use)
		}
	}
}

// goFile checks the names that a file declares, its strings and its comments.
func (c *checker) goFile(path string, source []byte) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	at := func(n ast.Node) string {
		p := set.Position(n.Pos())
		return path + ":" + strconv.Itoa(p.Line)
	}
	selected := map[*ast.Ident]bool{} // they belong to what declares them
	seen := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			selected[n.Sel] = true
		case *ast.Ident:
			if !selected[n] && !seen[n.Name] {
				seen[n.Name] = true // the first place is enough
				c.check("name:"+path, at(n), n.Name)
			}
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				if text, err := strconv.Unquote(n.Value); err == nil {
					c.check("string:"+path, at(n), text)
				}
			}
		}
		return true
	})
	for _, group := range file.Comments {
		c.check("comment:"+path, at(group), group.Text())
	}
	return nil
}

var (
	paragraph = regexp.MustCompile(`(?:[^\n]*\S[^\n]*\n?)+`)
	renamed   = regexp.MustCompile(`(?m)^- \[CHANGE\] Renamed[^\n]*(?:\n  [^\n]*)*`)
	tests     = regexp.MustCompile(`\bTest[A-Z]\w*`)
	comment   = regexp.MustCompile(`(?m)^\s*(?://|#|\*)`)
)

// textFile checks a file that is not of Go, paragraph by paragraph.
func (c *checker) textFile(path string, source []byte) {
	text := string(source)
	if path == "CHANGELOG.md" {
		// A list of renames names the old words, and what is released stays as it was.
		text = renamed.ReplaceAllString(text, "")
		if i := strings.Index(text, "\n## ["); i >= 0 {
			if j := strings.Index(text[i+1:], "\n## ["); j >= 0 {
				text = text[:i+1+j]
			}
		}
	}
	text = tests.ReplaceAllString(text, "TEST") // their names are checked where they are declared
	for _, p := range paragraph.FindAllStringIndex(text, -1) {
		line := 1 + strings.Count(text[:p[0]], "\n")
		c.check("text:"+path, path+":"+strconv.Itoa(line), comment.ReplaceAllString(text[p[0]:p[1]], " "))
	}
}

// eachFile calls check for the files of the tree that are wanted, with their paths from its root.
func eachFile(t *testing.T, wanted func(path string) bool, check func(path string, source []byte) error) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case "node_modules", "target", "build", "testdata", ".cache", ".git":
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		path := filepath.ToSlash(rel)
		if !wanted(path) {
			return nil
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return check(path, source)
	})
	if err != nil {
		t.Fatal(err)
	}
}

var texts = regexp.MustCompile(`\.(md|c|h|js|html|css|ya?ml|conf|json|tf|java|py)$|^Makefile$|/Dockerfile[^/]*$|^\.ci/run$`)

func TestWordsAreThoseOfTheField(t *testing.T) {
	n := 0
	c := &checker{terms: terms(t), allowed: exceptions(t), found: func(at, words, use string) {
		t.Errorf("%s: %q; say: %s", at, words, use)
	}}
	eachFile(t, func(path string) bool {
		return !strings.HasPrefix(path, "internal/termscheck/") && !strings.HasSuffix(path, "package-lock.json") &&
			(strings.HasSuffix(path, ".go") || texts.MatchString(path))
	}, func(path string, source []byte) error {
		n++
		name := filepath.Base(path)
		c.check("name:"+path, path, strings.TrimSuffix(name, filepath.Ext(name)))
		if strings.HasSuffix(path, ".go") {
			return c.goFile(path, source)
		}
		c.textFile(path, source)
		return nil
	})
	if n < 300 {
		t.Errorf("unexpected number of files; got %d", n)
	}
	if len(c.allowed) > maxAllowed {
		t.Errorf("unexpected length of allowed.txt; got %d lines; want at most %d", len(c.allowed), maxAllowed)
	}
	for _, e := range c.allowed {
		if !e.used {
			t.Errorf("allowed.txt: nothing needs the line %q", e.line)
		}
	}
}

func TestTermsAreFoundInNamesStringsAndComments(t *testing.T) {
	for name, source := range map[string]string{
		"function":           "func handOver() {}",
		"method":             "func (a A) TurnAway() {}",
		"field":              "type A struct { oldLane int }",
		"parameter":          "func f(letter_count int) {}",
		"variable":           "func f() { verdict := 1; _ = verdict }",
		"whole name":         "func never() {}",
		"acronym":            "var aHTTPDoor int",
		"string":             `var a = "who waits for it"`,
		"comment":            "// A record is put\n// again.\nvar a int",
		"start of sentence":  "// One thing. Else another.\nvar a int",
		"comment in a block": "func f() {\n\t/* the witness */\n}",
	} {
		t.Run(name, func(t *testing.T) {
			found := 0
			c := &checker{terms: terms(t), found: func(string, string, string) { found++ }}
			if err := c.goFile("a.go", []byte("package a\n\n"+source+"\n")); err != nil {
				t.Fatal(err)
			}
			if found != 1 {
				t.Errorf("unexpected terms; got %d; want 1", found)
			}
		})
	}
	for name, source := range map[string]string{
		"part of a word":     "var outdoors, planes int",
		"of another package": "func f() { http.Letter() }",
		"not the whole name": "var neverSent int",
		"keyword":            "func f(a bool) { if a { f(a) } else { f(a) } }",
	} {
		t.Run(name, func(t *testing.T) {
			c := &checker{terms: terms(t), found: func(at, words, _ string) { t.Errorf("%s: unexpected term in %q", at, words) }}
			if err := c.goFile("a.go", []byte("package a\n\n"+source+"\n")); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTermsAreFoundInTexts(t *testing.T) {
	found := 0
	c := &checker{terms: terms(t), found: func(string, string, string) { found++ }}
	c.textFile("a.md", []byte("Records are written\nagain.\n\n# the doors\n"))
	if found != 2 {
		t.Errorf("unexpected terms; got %d; want one across lines and one in the heading", found)
	}
	found = 0
	c.textFile("CHANGELOG.md", []byte("# Changelog\n\n## [Unreleased]\n\n- [CHANGE] Renamed: `Letter` is `DeadLetter`,\n  `door` is `receiver`.\n- [BUGFIX] A letter.\n\n## [1.0.0]\n\n- A letter.\n"))
	if found != 1 {
		t.Errorf("unexpected terms in a changelog; got %d; want the one that is neither a rename nor released", found)
	}
}
