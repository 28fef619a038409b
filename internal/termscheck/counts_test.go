// SPDX-License-Identifier: Apache-2.0

package termscheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A count before a noun in the plural: in a format, behind a number that a program of Go adds
// to a text, and in the page. A bound is no count, and there is never 1 of some.
var (
	inFormat = regexp.MustCompile(`((?:to|than|after|most) )?%(?:\[\d\])?d ((?:[A-Za-z]+ )??[a-z]+s)\b`)
	added    = regexp.MustCompile(`^() ((?:[A-Za-z]+ )??[a-z]+s)\b`)
	inPage   = regexp.MustCompile(`()\+ " ((?:[A-Za-z]+ )??[a-z]+s)\b`)
	never1   = regexp.MustCompile(`^such |(?:bytes|characters|seconds)$`)
	noNoun   = regexp.MustCompile(`(?:^|[^a-z])(?:is|was|has|this|its|as|ms|perhaps|cols|nanos)$`)
)

func plurals(rx *regexp.Regexp, text string) (found []string) {
	for _, m := range rx.FindAllStringSubmatch(text, -1) {
		if m[1] == "" && !never1.MatchString(m[2]) && !noNoun.MatchString(m[2]) {
			found = append(found, m[0])
		}
	}
	return found
}

// countsOfGo returns the texts of a file in which a count stands before a plural.
func countsOfGo(path string, source []byte) (found []string, err error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	look := func(n ast.Node, rx *regexp.Regexp) {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return
		}
		text, _ := strconv.Unquote(lit.Value)
		for _, words := range plurals(rx, text) {
			found = append(found, path+":"+strconv.Itoa(set.Position(lit.Pos()).Line)+": "+words)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		look(n, inFormat)
		if b, ok := n.(*ast.BinaryExpr); ok && b.Op == token.ADD && isNumber(b.X) {
			look(b.Y, added)
		}
		return true
	})
	return found, nil
}

// isNumber reports whether e, or what is added last in it, makes a text of a number.
func isNumber(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return e.Op == token.ADD && isNumber(e.Y)
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok {
			return slices.Contains([]string{"Itoa", "FormatInt", "FormatUint"}, f.Sel.Name)
		}
	}
	return false
}

// countsOfPage is countsOfGo for a script.
func countsOfPage(path string, source []byte) (found []string) {
	for i, line := range strings.Split(string(source), "\n") {
		for _, words := range plurals(inPage, line) {
			found = append(found, path+":"+strconv.Itoa(i+1)+": "+words)
		}
	}
	return found
}

// What only those see who work on this project.
var forAuthors = regexp.MustCompile(`^(?:core/invariants|internal/(?:benchcheck|emulators|fleetsim|peerbench)/)`)

// "1 shards are open" reads as a mistake, and who reads it is looking for one.
func TestCountsFitTheirNouns(t *testing.T) {
	files := 0
	eachFile(t, func(path string) bool {
		isGo := strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go")
		return (isGo || strings.HasSuffix(path, ".js")) && !forAuthors.MatchString(path)
	}, func(path string, source []byte) (err error) {
		files++
		found := countsOfPage(path, source)
		if strings.HasSuffix(path, ".go") {
			found, err = countsOfGo(path, source)
		}
		for _, f := range found {
			t.Errorf("%q is wrong for 1; use package internal/plural, or counted in the page", f)
		}
		return err
	})
	if files < 200 {
		t.Errorf("unexpected number of files; got %d", files)
	}
}

func TestCountsBeforePluralsAreFound(t *testing.T) {
	for text, want := range map[string]int{
		`f("%d shards are open", n)`:                   1,
		`f("%d of %d open shards, %d records", n)`:     2,
		`f("in %[2]d retries")`:                        1,
		`g(strconv.Itoa(n) + " log records are lost")`: 1,
		`g("a" + strconv.Itoa(n) + " events")`:         1,
		`f("%d is not a digit; %d bytes", n)`:          0,
		`f("more than %d levels; 1 to %d shards", n)`:  0,
		`f("%s open", plural.Count(n, "shard"))`:       0,
		`g(name + " shards")`:                          0,
	} {
		found, err := countsOfGo("a.go", []byte("package a\n\nfunc _() { "+text+" }\n"))
		if err != nil || len(found) != want {
			t.Errorf("%s: unexpected counts; got %q, %v; want %d", text, found, err, want)
		}
	}
	if found := countsOfPage("a.js", []byte(`put(count(n) + " bodies, " + size(m) + " ms");`)); len(found) != 1 {
		t.Errorf("unexpected counts of the page; got %q; want 1", found)
	}
}
