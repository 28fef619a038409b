// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logLine is a text that is logged.
type logLine struct {
	text   string // as far as it is fixed
	at     string
	severe bool // warn or error; others need no explanation
}

// loggers are functions that log their text, besides those of slog: the name, and which
// argument it is. Their level is warn or above.
var loggers = map[string]int{
	"loss": 0, "warn": 0, // of the plugin's health
	"notice": 1, // of the plugin's configuration: an option and a text
}

// levels are the arguments that say that a line is severe, and those that do not.
var levels = map[string]bool{"slog.LevelWarn": true, "slog.LevelError": true, "slog.LevelInfo": false, "slog.LevelDebug": false, "level": true}

// texts returns the fixed beginnings that an expression may have: a literal, what begins with
// one, or a variable of the function that is set to one.
func texts(e ast.Expr, within ast.Node) (list []string) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return []string{s}
		}
	case *ast.BinaryExpr:
		left := texts(e.X, within)
		for _, l := range left {
			whole := l
			if right, ok := e.Y.(*ast.BasicLit); ok {
				if s, err := strconv.Unquote(right.Value); err == nil {
					whole += s
				}
			}
			list = append(list, whole)
		}
	case *ast.Ident:
		ast.Inspect(within, func(n ast.Node) bool {
			if a, ok := n.(*ast.AssignStmt); ok {
				for i, l := range a.Lhs {
					if id, ok := l.(*ast.Ident); ok && id.Name == e.Name && i < len(a.Rhs) {
						if _, again := a.Rhs[i].(*ast.Ident); !again {
							list = append(list, texts(a.Rhs[i], within)...)
						}
					}
				}
			}
			return true
		})
	}
	return list
}

// name writes an expression of names: slog.LevelWarn.
func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return name(e.X) + "." + e.Sel.Name
	}
	return ""
}

// logged returns the text and the level of what a call logs, if it does. A literal of a
// struct with a level and a text counts like a call.
func logged(n ast.Node) (text ast.Expr, severe, ok bool) {
	var args []ast.Expr
	switch n := n.(type) {
	case *ast.CallExpr:
		args = n.Args
		if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "level" && len(args) > 0 {
			return args[0], true, true // a method of a logger in a variable
		}
		f, isSelector := n.Fun.(*ast.SelectorExpr)
		if !isSelector {
			return nil, false, false
		}
		of := strings.ToLower(name(f.X))
		switch f.Sel.Name {
		case "Warn", "Error", "Info":
			if len(args) > 0 && (strings.HasSuffix(of, "log") || strings.HasSuffix(of, "logger")) {
				return args[0], f.Sel.Name != "Info", true
			}
			return nil, false, false
		}
		if at, found := loggers[f.Sel.Name]; found && at < len(args) {
			return args[at], true, true
		}
	case *ast.CompositeLit:
		args = n.Elts
	default:
		return nil, false, false
	}
	for i, a := range args[:max(0, min(len(args)-1, 2))] {
		if severe, isLevel := levels[name(a)]; isLevel {
			return args[i+1], severe, true
		}
	}
	return nil, false, false
}

// logLines lists what the producer and both receivers log, in Go and in C.
func logLines(t *testing.T) (list []logLine) {
	t.Helper()
	set := token.NewFileSet()
	inC := regexp.MustCompile(`KPL_LOG_(?:ERROR|WARN),[^"]*(?:"%s",\s*)?"(?:\[output:kpl\] )?([^"]+)"`)
	for _, dir := range []string{"core", "fluentbit", "vector", "internal/event", "internal/ledger", "internal/journal", "internal/option"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			skip := strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/internal/host/") || strings.Contains(path, "/hosttest/") || strings.Contains(path, "/demo/") || strings.Contains(path, "kinesistest")
			if err != nil || d.IsDir() || skip {
				return err
			}
			at, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			source, err := os.ReadFile(path)
			switch {
			case err != nil:
				return err
			case strings.HasSuffix(path, ".c"):
				joined := regexp.MustCompile(`"\s*\n\s*"`).ReplaceAll(source, nil)
				for _, m := range inC.FindAllSubmatch(joined, -1) {
					list = append(list, logLine{string(m[1]), at, true})
				}
			case strings.HasSuffix(path, ".go"):
				file, err := parser.ParseFile(set, path, source, parser.SkipObjectResolution)
				if err != nil {
					return err
				}
				for _, decl := range file.Decls {
					ast.Inspect(decl, func(n ast.Node) bool {
						text, severe, ok := logged(n)
						if !ok {
							return true
						}
						for _, s := range texts(text, decl) {
							if len(s) > 3 {
								list = append(list, logLine{s, at + ":" + strconv.Itoa(set.Position(n.Pos()).Line), severe})
							}
						}
						return true
					})
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// explained lists the lines that docs/troubleshooting.md explains.
func explained(t *testing.T) (list []string) {
	t.Helper()
	page, _, _ := strings.Cut(read(t, "docs", "troubleshooting.md"), "## Alerts")
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(page, -1) {
		list = append(list, m[1])
	}
	return list
}

// An operator who sees a warning or an error can look it up.
func TestEveryWarningAndErrorIsExplained(t *testing.T) {
	page, lines := explained(t), logLines(t)
	severe := 0
	for _, l := range lines {
		if !l.severe {
			continue
		}
		severe++
		if !slices.ContainsFunc(page, func(row string) bool {
			return strings.HasPrefix(l.text, row) || strings.HasPrefix(row, l.text) && len(l.text) > 12
		}) {
			t.Errorf("%s: docs/troubleshooting.md does not explain the line %q", l.at, l.text)
		}
	}
	if severe < 60 {
		t.Errorf("unexpected number of warnings and errors; got %d", severe)
	}
}

// A page of log lines that nothing logs would send people astray.
func TestEveryLineOfTheDocumentIsLogged(t *testing.T) {
	lines := logLines(t)
	for _, row := range explained(t) {
		if !slices.ContainsFunc(lines, func(l logLine) bool {
			return strings.HasPrefix(l.text, row) || strings.HasPrefix(row, l.text) && len(l.text) > 12
		}) {
			t.Errorf("docs/troubleshooting.md explains %q, which nothing logs", row)
		}
	}
}

// A line that is logged in another way than the test knows would be missed by it.
func TestLinesAreFoundHoweverTheyAreLogged(t *testing.T) {
	lines := logLines(t)
	for _, want := range []string{
		"cannot put records",                                     // by a level in a call
		"panic in code that the producer calls; going on",        // in a struct
		"chunks are not confirmed and will be retried",           // with a level in a variable
		"events were not confirmed within record_ttl",            // in a variable
		"events have no stream, ",                                // with a variable behind
		"events truncated to fit",                                // by a function of the plugin
		"has no effect without partition_key",                    // of the configuration
		"cannot start: the process was forked after the plugin ", // in C
		"cannot write the journal; ",                             // by a logger in a field
	} {
		if !slices.ContainsFunc(lines, func(l logLine) bool { return l.severe && strings.HasPrefix(l.text, want) }) {
			t.Errorf("the line %q is not found", want)
		}
	}
}

// What an alert, a panel or a document names is a metric that exists.
func TestDocumentsNameMetricsAndAlertsThatExist(t *testing.T) {
	known, alerts := metricNames(t), read(t, "conf", "prometheus", "alerts.yaml")
	docs := append(glob(t, "docs/*.md"), "README.md")
	n := 0
	for _, path := range docs {
		text := read(t, path)
		for _, m := range regexp.MustCompile("`((?:kpl|fluentbit)_[a-z_]+?)(?:_bucket|_sum|_count)?(?:\\{[^`]*\\})?`").FindAllStringSubmatch(text, -1) {
			n++
			if m[1] == "fluentbit_metrics" { // an input
				continue
			}
			exists := known[m[1]] || known[m[1]+"_bucket"]
			for name := range known { // several names may be meant
				exists = exists || strings.HasSuffix(m[1], "_") && strings.HasPrefix(name, m[1])
			}
			if !exists {
				t.Errorf("%s names the metric %s, which does not exist", path, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`\b(?:Kpl|FluentBit)[A-Z][A-Za-z]+\b`).FindAllString(text, -1) {
			if strings.HasPrefix(m, "Kpl") && !strings.Contains(alerts, "alert: "+m+"\n") {
				t.Errorf("%s names the alert %s, which does not exist", path, m)
			}
		}
	}
	if n < 40 {
		t.Errorf("unexpected number of metrics in documents; got %d", n)
	}
}
