// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sources is the text of all Go and C files that are no tests, with the pieces of
// strings that go over several lines put together.
func sources(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range []string{"core", "fluentbit", "internal/event", "internal/ledger", "vector", "internal/journal", "internal/option"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".c") {
				return err
			}
			text, err := os.ReadFile(path)
			b.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return regexp.MustCompile(`"\s*\+?\s*\n\s*"`).ReplaceAllString(b.String(), "")
}

// A page of log lines that nobody logs any more would send people astray.
func TestLogLinesOfTroubleshootingExist(t *testing.T) {
	code := sources(t)
	page, _, _ := strings.Cut(read(t, "docs", "troubleshooting.md"), "## Alerts")
	n := 0
	for i, line := range strings.Split(page, "\n") {
		m := regexp.MustCompile("^\\| `([^`]+)` \\|").FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n++
		if !strings.Contains(code, `"`+m[1]) {
			t.Errorf("docs/troubleshooting.md:%d: nothing logs %q", i+1, m[1])
		}
	}
	if n < 30 {
		t.Errorf("unexpected number of log lines; got %d", n)
	}
}

// Lines about errors have to be explained.
func TestErrorLinesAreExplained(t *testing.T) {
	page := read(t, "docs", "troubleshooting.md")
	n := 0
	for _, m := range regexp.MustCompile(`(?:log|logger|Logger)\.Error\(\s*"([^"]+)"`).FindAllStringSubmatch(sources(t), -1) {
		n++
		text := m[1]
		if strings.Contains(text, "CloudWatch refuses metrics") { // says it all
			continue
		}
		if !strings.Contains(page, "`"+text) {
			t.Errorf("docs/troubleshooting.md does not explain the line %q", text)
		}
	}
	if n < 8 {
		t.Errorf("unexpected number of lines at the level error; got %d", n)
	}
}

// Options that pages name in backquotes exist.
func TestOptionsThatPagesNameExist(t *testing.T) {
	known := read(t, "docs", "options.md") + read(t, "docs", "http.md")
	for _, page := range []string{"delivery.md", "tuning.md", "troubleshooting.md", "iam.md"} {
		for _, m := range regexp.MustCompile("`((?:route|limits|ledger|producer|server|metrics|dead_letter)\\.[a-z_]+|[a-z]+(?:_[a-z]+)+)(?:[ :`])").FindAllStringSubmatch(read(t, "docs", page), -1) {
			name := m[1]
			if strings.HasPrefix(name, "kpl_") || foreign[name] {
				continue
			}
			if !strings.Contains(known, name) {
				t.Errorf("docs/%s: unexpected option; got %s; want one of docs/options.md or docs/http.md", page, name)
			}
		}
	}
}

// foreign are options of others, and words that only look like options.
var foreign = map[string]bool{
	"retry_limit": true, "no_limits": true, "producer.json": true, "mem_buf_limit": true, "read_from_head": true, "drop_oldest": true,
	"too_large": true, "access_denied": true, "stream_not_found": true, "drain_delay": true, "refused_alone": true, "client_max_body_size": true,
	"buffer_chunk_size": true,
}
