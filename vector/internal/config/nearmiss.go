// SPDX-License-Identifier: Apache-2.0

package config

import (
	"sort"
	"strings"

	"github.com/outkpl/outkpl/internal/nearmiss"
)

// synonyms are names that people write for lack of the right one.
var synonyms = map[string]string{
	"address":            "server.listen",
	"bind":               "server.listen",
	"listen":             "server.listen",
	"port":               "server.listen",
	"stream":             "route.stream",
	"stream_name":        "route.stream",
	"partition_key":      "route.partition_key",
	"partition_key_path": "route.partition_key",
	"ack_timeout":        "route.ack_timeout",
	"timeout":            "route.ack_timeout",
	"region":             "aws.region",
	"endpoint":           "aws.endpoint",
	"role_arn":           "aws.role_arn",
	"kinesis":            "aws",
	"token":              "auth.bearer_files",
	"bearer_token":       "auth.bearer_files",
	"bearer_tokens":      "auth.bearer_files",
	"password":           "auth.basic_files",
	"users":              "auth.basic_files",
	"cert":               "tls.cert_file",
	"key":                "tls.key_file",
	"ca_file":            "tls.client_ca_file",
	"max_body_size":      "limits.body_max_size",
	"log_level":          "log.level",
	"verbosity":          "log.level",
	"compression":        "producer.aggregation; records are not compressed",
}

// mostNamed is how many names a message can list and still be read.
const mostNamed = 40

// hint names what was probably meant, or nothing.
func hint(name string, known []string) string {
	best, at := "", 3
	if n := len(name) / 3; n < at {
		at = n + 1
	}
	known = append([]string(nil), known...)
	sort.Strings(known)
	for _, k := range known {
		if d := nearmiss.Distance(squash(name), squash(k)); d < at {
			best, at = k, d
		}
	}
	if best != "" {
		return "; did you mean " + best + "?"
	}
	if s, ok := synonyms[strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])]; ok {
		return "; did you mean " + s + "?"
	}
	if len(known) > mostNamed {
		return "; kpl-http options lists all"
	}
	return "; known: " + strings.Join(known, ", ")
}

// hintTop looks at all options, too: a key that stands outside of its group is the
// usual mistake.
func (l *loader) hintTop(name string, groups []string) string {
	for i := range l.options {
		if l.options[i].name() == name || l.options[i].Key == name {
			group, rest, _ := strings.Cut(l.options[i].Key, ".")
			return "; did you mean " + rest + " below " + group + "?"
		}
	}
	return hint(name, groups)
}

// squash makes spellings equal that differ in case and in what joins the words.
func squash(s string) string {
	return strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(s))
}
