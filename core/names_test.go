// SPDX-License-Identifier: Apache-2.0

package core

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

// sources parses the files of the package that programs get.
func sources(t *testing.T) (*token.FileSet, []*ast.File) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && name != "invariants_off.go" {
			file, err := parser.ParseFile(set, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
	}
	return set, files
}

// A reader who greps for the name of a stage, or of a step of one, finds one function.
func TestEachFunctionHasANameOfItsOwn(t *testing.T) {
	shared := []string{ // names that interfaces of others, or several types of the API, ask for
		"Error", "Unwrap", "Is", "String", "Len", "Less", "Swap", "Push", "Pop", "Value",
	}
	set, files := sources(t)
	first := map[string]token.Position{}
	for _, file := range files {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || slices.Contains(shared, f.Name.Name) {
				continue
			}
			at := set.Position(f.Pos())
			if before, taken := first[f.Name.Name]; taken {
				t.Errorf("%s: the name %s is that of %s, too", at, f.Name.Name, before)
			}
			first[f.Name.Name] = at
		}
	}
	for _, stage := range []string{"submit", "route", "aggregate", "limit", "collect", "send", "respond", "settle", "retryLater"} {
		if _, known := first[stage]; !known {
			t.Errorf("there is no function for the stage %s", stage)
		}
	}
}

// Whatever panics under the lock of a pipeline, the lock is given back.
func TestLockOfAPipelineIsGivenBackByADeferredCall(t *testing.T) {
	set, files := sources(t)
	locks := 0
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			block, ok := n.(*ast.BlockStmt)
			if !ok {
				return true
			}
			for i, s := range block.List {
				if callOf(s) != "pl.lock" && callOf(s) != "pl.mu.Lock" {
					continue
				}
				locks++
				want := map[string]string{"pl.lock": "defer pl.unlock", "pl.mu.Lock": "defer pl.mu.Unlock"}[callOf(s)]
				if i+1 < len(block.List) && callOf(block.List[i+1]) == want {
					continue
				}
				if f := functionAt(file, s.Pos()); f != "lock" { // which is for its callers
					t.Errorf("%s: %s is not followed by %s", set.Position(s.Pos()), callOf(s), want)
				}
			}
			return true
		})
	}
	if locks < 8 {
		t.Errorf("unexpected number of places that take the lock; got %d; want 8 at least", locks)
	}
}

// callOf returns what a statement calls, with "defer " before it if it is deferred.
func callOf(s ast.Stmt) string {
	switch s := s.(type) {
	case *ast.ExprStmt:
		if c, ok := s.X.(*ast.CallExpr); ok {
			return nameOf(c.Fun)
		}
	case *ast.DeferStmt:
		return "defer " + nameOf(s.Call.Fun)
	}
	return ""
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return nameOf(e.X) + "." + e.Sel.Name
	}
	return ""
}

// functionAt returns the name of the declared function at a position.
func functionAt(file *ast.File, at token.Pos) string {
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Pos() <= at && at < f.End() {
			return f.Name.Name
		}
	}
	return ""
}
