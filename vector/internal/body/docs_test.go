// SPDX-License-Identifier: Apache-2.0

package body

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/internal/event"
)

// How deep a body may be nested is a constant, not an option; so it stands in the text.
func TestLimitsOfNestingAreDocumented(t *testing.T) {
	want := fmt.Sprintf("Arrays and objects may lie %d deep in each other, in MessagePack %d;", DefaultDepth, event.MaxDepth)
	page, err := os.ReadFile("../../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), want) {
		t.Errorf("docs/http.md: %q is missing", want)
	}
}
