// SPDX-License-Identifier: Apache-2.0

package conftest

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/fluentbit/internal/plugin"
)

var codeSpan = regexp.MustCompile("`([^`]+)`")

// movingTable returns the rows of a table of docs/migration.md: the names that stand in
// each cell but the last, which is text.
func movingTable(t *testing.T, of string) (rows [][][]string) {
	t.Helper()
	page := strings.Join(read(t, "../docs/migration.md"), "\n")
	_, table, ok := strings.Cut(page, "<!-- options of "+of+", checked by ")
	table, _, ended := strings.Cut(table, "<!-- end -->")
	if !ok || !ended {
		t.Fatalf("docs/migration.md has no table of the options of %s", of)
	}
	for _, line := range strings.Split(table, "\n") {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		var row [][]string
		for _, c := range cells[:min(2, len(cells))] {
			var names []string
			for _, m := range codeSpan.FindAllStringSubmatch(c, -1) {
				names = append(names, m[1])
			}
			row = append(row, names)
		}
		rows = append(rows, row)
	}
	return rows
}

// Each option of the other outputs stands in the table for moving over, once, and what
// it becomes is an option of ours or of the host.
func TestTablesForMovingOverAreWhole(t *testing.T) {
	known := append([]string{"log_level"}, hostKeys...)
	for _, o := range plugin.Options() {
		known = append(known, o.Name)
	}
	for of, want := range map[string]string{
		// Of 5.1.1, and what the host takes for it.
		"kinesis_streams": "region,stream,time_key,time_key_format,log_key,role_arn,external_id,endpoint,sts_endpoint,profile,auto_retry_requests,simple_aggregation,compression," +
			"port,workers,retry_limit,tls.ca_file,tls.verify,net.connect_timeout",
		// Of 1.10.2, and the variables that it reads.
		"kinesis": "region,stream,partition_key,data_keys,log_key,role_arn,endpoint,sts_endpoint,append_newline,time_key,time_key_format,experimental_concurrency," +
			"experimental_concurrency_retries,aggregation,compression,replace_dots,http_request_timeout,FLB_LOG_LEVEL,SEND_FAILURE_TIMEOUT,EKS_POD_EXECUTION_ROLE",
	} {
		var old []string
		for _, row := range movingTable(t, of) {
			if len(row) != 2 || len(row[0]) != 1 || len(row[1]) > 1 {
				t.Fatalf("%s: unexpected row; got %q; want one old name and at most one new one", of, row)
			}
			old = append(old, row[0][0])
			for _, name := range row[1] {
				if !slices.Contains(known, name) {
					t.Errorf("%s: %s becomes %s, which is neither an option of the plugin nor of the host", of, row[0][0], name)
				}
			}
		}
		if got := strings.Join(old, ","); got != want {
			t.Errorf("%s: unexpected old options; got %s; want %s", of, got, want)
		}
	}
}

// What docs/migration.md writes for the plugin is taken by it, and says what it needs of the host.
func TestOutputsForMovingOverWork(t *testing.T) {
	n := 0
	page := strings.Join(read(t, "../docs/migration.md"), "\n")
	for _, b := range regexp.MustCompile("(?s)\n```\n(\\[OUTPUT\\]\n.*?)```").FindAllStringSubmatch(page, -1) {
		for _, s := range classicLines(t, "docs/migration.md", strings.Split(b[1], "\n")) {
			n++
			if got := s.get("name"); got != "kpl" {
				t.Errorf("docs/migration.md: unexpected output; got %q; want kpl", got)
			}
			vals := s.vals()
			if len(vals) != len(s.props) {
				t.Errorf("docs/migration.md: a key is there twice; got %v", s.props)
			}
			checkOutput(t, "docs/migration.md", vals)
		}
	}
	if n != 2 {
		t.Errorf("docs/migration.md: unexpected number of outputs; got %d; want one for each of the other outputs", n)
	}
}
