// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// hostTraps are settings of Fluent Bit that lose, double or ignore something, whatever the
// plugin does: it cannot see them. docs/fluent-bit.md and docs/delivery.md say what the run
// of Fluent Bit 5.1.1 showed.
func hostTraps(list []section) (problems []string) {
	for _, s := range list {
		switch v := strings.ToLower(s.vals["storage.checksum"]); {
		case s.kind == "service" && v != "" && v != "off" && v != "false":
			problems = append(problems, "storage.checksum "+v+": the chunk that is open at a SIGKILL is never delivered")
		case s.kind == "input" && slices.Contains(s.keys, "routes"):
			problems = append(problems, "routes of an input: the tag is the name of the route, and its chunks stay on disk after a restart")
		case s.kind == "output" && slices.Contains(s.keys, "processors"):
			problems = append(problems, "processors of an output: a chunk that comes again may be another one")
		}
		if s.kind != "output" || s.vals["name"] != "kpl" {
			continue
		}
		for _, k := range s.keys {
			if k == "host" || k == "port" || k == "tls" || k == "ipv6" || strings.HasPrefix(k, "tls.") || strings.HasPrefix(k, "net.") {
				problems = append(problems, k+" does nothing at the output kpl")
			}
		}
	}
	return problems
}

// sharedInputs finds outputs that get what the output kpl gets. After a restart the host
// hands a chunk to all of them, also to those that have acknowledged it.
func sharedInputs(list []section) (problems []string) {
	outputs := slices.DeleteFunc(slices.Clone(list), func(s section) bool { return s.kind != "output" })
	for i, s := range outputs {
		for _, o := range outputs[:i] {
			if s.vals["match"] == o.vals["match"] && (s.vals["name"] == "kpl" || o.vals["name"] == "kpl") {
				problems = append(problems, "two outputs match "+s.vals["match"])
			}
		}
	}
	return problems
}

func TestConfigurationsKeepOutOfTheTrapsOfFluentBit(t *testing.T) {
	for _, path := range []string{
		"conf/fluent-bit.conf", "conf/kubernetes/fluent-bit/fluent-bit.conf", "conf/ecs/firelens.conf", "docker/compose/fluent-bit.conf",
		"conf/fluent-bit.yaml", "conf/fluent-bit-kubernetes.yaml", "conf/combine/fluent-bit.conf",
	} {
		var list []section
		if strings.HasSuffix(path, ".yaml") {
			list = ymlSections(t, read(t, path))
		} else {
			list = sections(t, path, read(t, path))
		}
		problems := hostTraps(list)
		if !strings.HasPrefix(path, "docker/compose/") { // the demo shows both ways side by side
			problems = append(problems, sharedInputs(list)...)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", path, p)
		}
	}
}

func TestTrapsOfFluentBitAreNoticed(t *testing.T) {
	path := "conf/fluent-bit.yaml"
	good := read(t, path)
	for _, c := range []struct{ old, add string }{
		{"service:\n", "  storage.checksum: on\n"},
		{"    - name: tail\n", "      routes: {logs: [{name: a}]}\n"},
		{"    - name: kpl\n", "      processors: {logs: [{name: lua}]}\n"},
		{"    - name: kpl\n", "      port: 4567\n"},
		{"    - name: kpl\n", "      tls.verify: off\n"},
		{"    - name: kpl\n", "      net.connect_timeout: 5\n"},
		{"  outputs:\n", "    - name: stdout\n      match: '*'\n"},
	} {
		bad := strings.Replace(good, c.old, c.old+c.add, 1)
		if bad == good {
			t.Fatalf("%s: unexpected file; want one with %q", path, c.old)
		}
		list := ymlSections(t, bad)
		if got := slices.Concat(hostTraps(list), sharedInputs(list)); len(got) != 1 {
			t.Errorf("%q: unexpected problems; got %q; want one", c.add, got)
		}
	}
}

// What the host does in silence stands where users read what to set.
func TestTrapsOfFluentBitAreDocumented(t *testing.T) {
	page, delivery := read(t, "docs", "fluent-bit.md"), read(t, "docs", "delivery.md")
	_, table, _ := strings.Cut(page, "## What to set in the host")
	table, _, _ = strings.Cut(table, "\n## ")
	for _, want := range []string{
		"| `storage.checksum` of the service | leave it off", "| conditional `routes:` of inputs", "`match: <name of the route>`", "| `processors:` of the output |",
		"| another output for the same inputs |", "| `port`, `tls.*`, `net.*`, `host`, `ipv6` of the output | leave them out",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("docs/fluent-bit.md, What to set in the host: %q is missing", want)
		}
	}
	for _, want := range []string{"`storage.checksum on`", "conditional route of Fluent Bit", "output-side processor of Fluent Bit", "Two outputs of Fluent Bit match one chunk"} {
		if !strings.Contains(delivery, want) {
			t.Errorf("docs/delivery.md: %q is missing", want)
		}
	}
}

// Examples for shippers have what keeps these from dropping: out_opentelemetry forgets a
// request that failed if a later one of its chunk did not, Fluentd repeats on 503 alone.
func TestExamplesForShippersHaveWhatKeepsThemFromDropping(t *testing.T) {
	page := read(t, "docs", "vector.md")
	outputs := map[string]section{}
	for _, b := range regexp.MustCompile("(?s)\n```\n(\\[OUTPUT\\].*?)```").FindAllStringSubmatch(page, -1) {
		for _, s := range sections(t, "docs/vector.md", b[1]) {
			outputs[s.vals["name"]] = s
			if s.vals["retry_limit"] != "no_limits" {
				t.Errorf("docs/vector.md, %s: unexpected retry_limit; got %q; want no_limits", s.vals["name"], s.vals["retry_limit"])
			}
		}
	}
	if got := outputs["http"].vals["format"]; got != "msgpack" {
		t.Errorf("docs/vector.md: unexpected format for out_http of Fluent Bit; got %q; want msgpack", got)
	}
	if n, err := strconv.Atoi(outputs["opentelemetry"].vals["batch_size"]); err != nil || n < 50_000 {
		t.Errorf("docs/vector.md: unexpected batch_size for out_opentelemetry; got %q; want more than a chunk has", outputs["opentelemetry"].vals["batch_size"])
	}
	if !strings.Contains(page, "retryable_response_codes 429, 500, 502, 503, 504\n") {
		t.Error("docs/vector.md: retryable_response_codes is missing for Fluentd")
	}
}
