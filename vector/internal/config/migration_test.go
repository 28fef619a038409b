// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/core/metrics/cloudwatch"
)

const repository = "../../.."

func page(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repository, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// movingTable returns, for each row of a table of docs/migration.md, the names in its
// first three cells.
func movingTable(t *testing.T, of string) (rows [][3][]string) {
	t.Helper()
	_, table, ok := strings.Cut(page(t, "docs/migration.md"), "<!-- options of "+of+", checked by ")
	table, _, ended := strings.Cut(table, "<!-- end -->")
	if !ok || !ended {
		t.Fatalf("docs/migration.md has no table of the options of %s", of)
	}
	for line := range strings.SplitSeq(table, "\n") {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		var row [3][]string
		for i := range row {
			if i >= len(cells) || cells[i] != "-" && !strings.Contains(cells[i], "`") {
				t.Fatalf("docs/migration.md, %s: unexpected row %q; want names or - in three cells", of, line)
			}
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[i], -1) {
				row[i] = append(row[i], m[1])
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// isOption tells whether kpl-http has an option.
func isOption(name string) bool {
	return slices.ContainsFunc(Options(), func(o Option) bool { return o.Name == name })
}

// Each option of the KPL that has an equivalent leads to one that exists, in the library
// and in kpl-http.
func TestTableForMovingFromTheKPL(t *testing.T) {
	functions := page(t, "core/options.go") + page(t, "core/autodistribution.go")
	structs := map[string]reflect.Type{
		"awsclient.Config": reflect.TypeFor[awsclient.Config](), "metrics.Config": reflect.TypeFor[metrics.Config](), "cloudwatch.Config": reflect.TypeFor[cloudwatch.Config](),
	}
	seen := map[string]bool{}
	for _, row := range movingTable(t, "the KPL") {
		for _, name := range row[0] {
			if seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
		for _, name := range row[1] {
			dot := strings.LastIndexByte(name, '.')
			if dot < 0 {
				if !strings.Contains(functions, "func "+name+"(") {
					t.Errorf("%s becomes %s, which package core does not have", row[0], name)
				}
				continue
			}
			if s := structs[name[:dot]]; s == nil {
				t.Errorf("%s becomes %s; want a field of one of %v", row[0], name, structs)
			} else if _, ok := s.FieldByName(name[dot+1:]); !ok {
				t.Errorf("%s becomes %s, which is no field", row[0], name)
			}
		}
		for _, name := range row[2] {
			if !isOption(name) {
				t.Errorf("%s becomes %s, which is no option of kpl-http", row[0], name)
			}
		}
	}
	// The options that users of the KPL set; docs/parity.md has the others.
	for _, name := range []string{
		"AggregationEnabled", "AggregationMaxCount", "AggregationMaxSize", "CollectionMaxCount", "CollectionMaxSize", "RecordMaxBufferedTime", "RecordTtl",
		"RateLimit", "FailIfThrottled", "RequestTimeout", "ConnectTimeout", "MaxConnections", "Region", "KinesisEndpoint", "KinesisPort", "VerifyCertificate",
		"CaCertPath", "ProxyHost", "CredentialsProvider", "MetricsLevel", "MetricsGranularity", "MetricsNamespace", "MetricsUploadDelay", "MaxUserRecordSize",
		"RecordDistributionStrategyDefault", "ThreadingModel", "ThreadPoolSize", "LogLevel",
	} {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

// Each option of Vector's sink leads to one of its http sink, as docs/vector.md shows
// that, or to one of kpl-http.
func TestTableForMovingFromVector(t *testing.T) {
	var old []string
	sink := page(t, "docs/vector.md")
	for _, row := range movingTable(t, "aws_kinesis_streams") {
		old = append(old, row[0]...)
		for _, name := range row[1] {
			first, second, _ := strings.Cut(name, ".")
			if !regexp.MustCompile(`(?m)^    `+first+`: .*`+second).MatchString(sink) && name != "batch.max_events" && name != "request.concurrency" {
				t.Errorf("%s becomes %s, which the sink of docs/vector.md does not have", row[0], name)
			}
		}
		for _, name := range row[2] {
			if !isOption(name) {
				t.Errorf("%s becomes %s, which is no option of kpl-http", row[0], name)
			}
		}
	}
	const want = "stream_name,region,endpoint,auth.assume_role,auth.external_id,auth.profile,partition_key_field,encoding,compression,batch.max_bytes,batch.max_events," +
		"batch.timeout_secs,request.timeout_secs,request.concurrency,request_retry_partial,timeout.connect_timeout_seconds,timeout.read_timeout_seconds,tls.ca_file," +
		"acknowledgements,buffer,healthcheck"
	if got := strings.Join(old, ","); got != want {
		t.Errorf("unexpected options of Vector's sink; got %s; want %s", got, want)
	}
}

// The sink that docs/migration.md ends with is that of docs/vector.md, but for its input.
func TestSinkForMovingFromVector(t *testing.T) {
	_, after, ok := strings.Cut(page(t, "docs/migration.md"), "```yaml\n# after\n")
	after, _, ended := strings.Cut(after, "```")
	if !ok || !ended {
		t.Fatal("docs/migration.md has no sink")
	}
	if want := strings.Replace(after, "inputs: [app_logs]", "inputs: [my_logs]", 1); !strings.Contains(page(t, "docs/vector.md"), "```yaml\n"+want+"```") {
		t.Errorf("unexpected sink; got:\n%s\nwant that of docs/vector.md", after)
	}
}
