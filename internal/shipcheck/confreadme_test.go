// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The table of conf/README.md names what is there, and everything that is there.
func TestTableOfConfigurations(t *testing.T) {
	named := map[string]bool{}
	for line := range strings.SplitSeq(read(t, "conf", "README.md"), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			if _, err := os.Stat(filepath.Join(root, "conf", m[1])); err != nil {
				t.Errorf("conf/README.md: %v", err)
			}
			top, _, _ := strings.Cut(m[1], "/")
			named[top] = true
		}
	}
	entries, err := os.ReadDir(filepath.Join(root, "conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "README.md" && !named[e.Name()] {
			t.Errorf("conf/README.md: the table lacks %s", e.Name())
		}
	}
}
