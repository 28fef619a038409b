// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// fluentBitKeys are the keys of Fluent Bit 5.1.1, as far as they may be of use here: those
// of sections, and those of plugins, without which a typing error is found by a real
// Fluent Bit alone. The names are those in its source (config maps of the plugins,
// src/flb_config.c, flb_input.c, flb_filter.c, flb_output.c; checked 2026-11-24).
var fluentBitKeys = map[string][]string{
	"service": {
		"flush", "grace", "daemon", "log_file", "log_level", "parsers_file", "plugins_file", "http_server", "http_listen", "http_port", "health_check",
		"hc_errors_count", "hc_retry_failure_count", "hc_period", "hot_reload", "scheduler.cap", "scheduler.base", "storage.path", "storage.sync", "storage.metrics",
		"storage.checksum", "storage.backlog.mem_limit", "storage.max_chunks_up", "storage.type",
	},
	"input":  {"name", "alias", "tag", "log_level", "mem_buf_limit", "storage.type", "storage.pause_on_chunks_overlimit", "threaded"},
	"filter": {"name", "alias", "match", "match_regex", "log_level"},
	"output": {
		"name", "alias", "match", "match_regex", "log_level", "retry_limit", "workers", "host", "port", "tls", "tls.verify", "tls.ca_file",
		"storage.total_limit_size",
	},

	"input tail": {
		"path", "exclude_path", "key", "read_from_head", "refresh_interval", "rotate_wait", "path_key", "offset_key", "ignore_older", "buffer_chunk_size",
		"buffer_max_size", "static_batch_size", "skip_long_lines", "skip_empty_lines", "truncate_long_lines", "exit_on_eof", "inotify_watcher", "parser", "tag_regex", "db",
		"db.sync", "db.locking", "db.journal_mode", "multiline.parser",
	},
	"input dummy": {"samples", "dummy", "metadata", "rate", "interval_sec", "interval_nsec", "copies", "fixed_timestamp"},
	"filter kubernetes": {
		"buffer_size", "merge_log", "merge_parser", "merge_log_key", "merge_log_trim", "keep_log", "kube_url", "kube_ca_file", "kube_tag_prefix",
		"labels", "annotations", "owner_references", "namespace_labels", "namespace_annotations", "k8s-logging.parser", "k8s-logging.exclude", "regex_parser",
		"dns_retries", "dns_wait_time", "use_kubelet", "kubelet_host", "kubelet_port", "kube_token_ttl", "kube_meta_cache_ttl",
	},
	"filter parser": {"key_name", "parser", "preserve_key", "reserve_data", "unescape_key"},
	"output http":   {"uri", "http_method", "format", "compress", "header", "header_tag", "json_date_key", "json_date_format", "http_user", "http_passwd", "body_key", "headers_key"},
	"output kpl":    nil, // checkOutput looks at them
}

// What a plugin cannot do without.
var fluentBitNeeds = map[string][]string{
	"input": {"name", "tag"}, "filter": {"name", "match"}, "output": {"name", "match"},
	"input tail": {"path"}, "input dummy": {"dummy"}, "filter parser": {"key_name", "parser"}, "output http": {"host", "port", "uri", "format"},
}

// Values out of a list.
var fluentBitWords = map[string][]string{
	"log_level": {"off", "error", "warn", "info", "debug", "trace"}, "storage.type": {"filesystem", "memory"}, "storage.sync": {"normal", "full"},
	"format": {"json_lines", "json"}, "compress": {"gzip", "zstd"}, "multiline.parser": {"docker, cri"}, "parser": {"json"}, "parsers_file": {"/fluent-bit/etc/parsers.conf"},
}

var fluentBitSwitches = []string{
	"http_server", "health_check", "read_from_head", "skip_long_lines", "merge_log", "keep_log", "k8s-logging.parser", "k8s-logging.exclude",
	"annotations", "use_kubelet", "reserve_data",
}

// sectionProblems compares sections with the tables.
func sectionProblems(list []section) (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, s := range list {
		plugin := s.kind + " " + s.vals["name"]
		own, ok := fluentBitKeys[plugin]
		if s.kind != "service" && !ok {
			bad("unexpected plugin %s", plugin)
			continue
		}
		for _, k := range slices.Concat(fluentBitNeeds[s.kind], fluentBitNeeds[plugin]) {
			if s.vals[k] == "" {
				bad("%s: %s is missing", plugin, k)
			}
		}
		if plugin == "output kpl" {
			continue
		}
		for _, k := range s.keys {
			v := s.vals[k]
			if !slices.Contains(fluentBitKeys[s.kind], k) && !slices.Contains(own, k) {
				bad("%s: unexpected key %s", plugin, k)
			}
			if words, ok := fluentBitWords[k]; ok && !slices.Contains(words, v) {
				bad("%s: unexpected %s; got %s; want one of %v", plugin, k, v, words)
			}
			if slices.Contains(fluentBitSwitches, k) && v != "on" && v != "off" && v != "true" && v != "false" {
				bad("%s: unexpected %s; got %s; want on or off", plugin, k, v)
			}
		}
	}
	// Each output and filter gets what an input gives.
	for _, s := range list {
		pattern := strings.TrimRight(s.vals["match"], "*")
		gets := func(in section) bool { return in.kind == "input" && strings.HasPrefix(in.vals["tag"], pattern) }
		if pattern != "" && !strings.HasPrefix(pattern, "*") && !slices.ContainsFunc(list, gets) {
			bad("%s %s: no input has a tag like %s", s.kind, s.vals["name"], s.vals["match"])
		}
	}
	return problems
}

func TestKeysOfFluentBit(t *testing.T) {
	for _, path := range []string{"conf/fluent-bit.conf", "conf/kubernetes/fluent-bit/fluent-bit.conf", "conf/ecs/firelens.conf", "docker/compose/fluent-bit.conf", "conf/combine/fluent-bit.conf"} {
		for _, p := range sectionProblems(sections(t, path, read(t, path))) {
			t.Errorf("%s: %s", path, p)
		}
	}
	for _, path := range []string{"conf/fluent-bit.yaml", "conf/fluent-bit-kubernetes.yaml"} {
		for _, p := range sectionProblems(ymlSections(t, read(t, path))) {
			t.Errorf("%s: %s", path, p)
		}
	}
}

func TestBrokenKeysOfFluentBitAreNoticed(t *testing.T) {
	for path, replace := range map[string]map[string]string{
		"conf/ecs/firelens.conf": {"parsers_file": "parser_file", "key_name": "key", "parser         json": "parser jsom", "reserve_data": "reserve", "match ": "mach ", "parser\n": "parsers\n"},
		"docker/compose/fluent-bit.conf": {
			"port           8080": "prot 8080", "compress ": "compres ", "rate ": "rates ", "dummy          {": "dumy {", "http_server": "http_sever",
			"demo.*": "dmo.*", "gzip": "gzp", "host ": "hosts ", "json_lines": "json_line",
		},
		"conf/kubernetes/fluent-bit/fluent-bit.conf": {"merge_log ": "mergelog ", "skip_long_lines": "skip_lines", "kubelet_host": "kubelet", "storage.sync": "storage.synch", "docker, cri": "docker, cry"},
	} {
		good := read(t, path)
		for old, broken := range replace {
			text := strings.Replace(good, old, broken, 1)
			if text == good || len(sectionProblems(sections(t, path, text))) == 0 {
				t.Errorf("%s: %q instead of %q was not noticed", path, broken, old)
			}
		}
	}
	good := read(t, "conf", "fluent-bit.yaml")
	if _, err := ymlDocument(strings.Replace(good, "pipeline:", "pipelines:", 1)); err == nil {
		t.Error("an unknown section in YAML was not noticed")
	}
}
