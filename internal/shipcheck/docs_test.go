// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"regexp"
	"strings"
	"testing"
)

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
	"buffer_chunk_size": true, "in_use": true, "shards_that_would_do": true, "answered_with_error": true, "kept_in_dead_letter_file": true, "no_stream": true,
}
