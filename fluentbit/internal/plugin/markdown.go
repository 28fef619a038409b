// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"strings"

	"github.com/outkpl/outkpl/internal/option"
)

//go:generate go test -run ^TestOptionsDocument$ . -update

// Markdown is docs/options.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`# Options

<!-- Made from fluentbit/internal/plugin; do not edit. To make it anew: go generate ./fluentbit/internal/plugin -->

Keys of an output section with ` + "`name kpl`" + `. All problems of a configuration are reported at once, each with the key, the
value and what is allowed. Keys have the names that Fluent Bit's own ` + "`kinesis_streams`" + ` output (C, 5.1.1) and the AWS Go plugin
` + "`kinesis`" + ` (1.10.2) use, so that moving over means to change ` + "`name`" + `; what they do differently stands beside each.

- *boolean*: true, on, yes, false, off or no, in any case.
- *size*: bytes, or with K, M or G (1000 each, optionally with B), such as ` + "`64M`" + `.
- *duration*: a whole number with ms, s, m, h or d, such as ` + "`500ms`" + `; a plain number is seconds.
- *list*: separated by commas; blanks around names do not count. In YAML, too, it is one text: a YAML list is refused by hosts from 5.1.1 on ("set 2 times"), and of it older ones pass on the first value.
- ` + "`${NAME}`" + ` is replaced by the host, from the environment. ` + "`$NAME`" + ` is not.

Keys that the host keeps for itself and that no plugin like this one can see: name, alias, match, match_regex, log_level,
log_suppress_interval, workers, retry_limit, storage.total_limit_size, host, port, ipv6, ` + "`net.*`, tls and `tls.*`" + `.
With ` + "`tls on`" + ` it does not start ("does not support TLS"): leave that out, https is used anyway.
`)
	b.WriteString(templates)
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", s.Title, option.RowHead)
		for i := range s.Options {
			b.WriteString(s.Options[i].Row(option.FluentBit) + "\n")
		}
		for i := range s.Options {
			if d := s.Options[i].Details; d != "" {
				fmt.Fprintf(&b, "\n**`%s`**: %s\n", s.Options[i].Name, d)
			}
		}
		var peers strings.Builder
		for i := range s.Options {
			if o := &s.Options[i]; o.PeerC+o.PeerGo != "" {
				fmt.Fprintf(&peers, "| `%s` | %s | %s |\n", o.Name, option.Cell(orNone(o.PeerC)), option.Cell(orNone(o.PeerGo)))
			}
		}
		if peers.Len() > 0 {
			fmt.Fprintf(&b, "\n| Option | `kinesis_streams` (C) | `kinesis` (Go) |\n|---|---|---|\n%s", peers.String())
		}
	}
	b.WriteString(moving)
	return b.String()
}

func orNone(s string) string {
	if s == "" {
		return "no such option"
	}
	return s
}

const templates = `
## Templates

` + "`stream` and `partition_key`" + ` take text with references in the notation of Fluent Bit's record accessors:

| Reference | Meaning |
|---|---|
| ` + "`$TAG`, `$TAG[1]`" + ` | the tag; the second of its parts between dots |
| ` + "`$a`, `$a['b']['c'][0]`" + ` | a field of the event, as it came; text, numbers and booleans |
| ` + "`$['any name']['b']`" + ` | the same for names with other characters |
| ` + "`$metadata['otlp']['severity_text']`" + ` | the metadata of the event; without such a value a field metadata |
| ` + "`$group['resource']['attributes']['service.name']`" + ` | what OpenTelemetry says about a group of events; without such a value a field group |

A name without brackets ends at the first character that is not a letter, a digit, ` + "`_`, `-` or `@`: `$['app']-x`" + ` is the value of app
followed by ` + "`-x`, while `$app-x`" + ` is a field app-x. ` + "`$tag`" + ` is a field of that name, not the tag. If one part has no value, all of it is
missing, and the options ` + "`stream_missing` and `partition_key_missing`" + ` say what happens.
`

const moving = `
## Moving over

From either output: load the plugin (` + "`-e out_kpl.so`, or `plugins_file`" + `), change ` + "`name`" + ` to ` + "`kpl`" + ` and keep the other keys. What is
different then:

| | From ` + "`kinesis_streams` (C) | From `kinesis`" + ` (Go) |
|---|---|---|
| Consumers | Events are aggregated: they need KCL or a de-aggregation library. Otherwise ` + "`aggregation off`" + ` | The same; there it was off unless the word was ` + "`true`" + ` |
| ` + "`workers`" + ` | Write ` + "`workers 1`" + ` or more; it was 1 by itself, and is 0 here, as for all such plugins | The same; more than one is safe here |
| ` + "`retry_limit`" + ` | The host gives up after one retry unless ` + "`no_limits`" + ` is set, as before | The same |
| End of an event | ` + "`append_newline on`" + ` if consumers rely on the newline | As before |
| ` + "`time_key_format`" + ` | ` + "`%L` has three digits, write `%9N`" + ` for nine; ` + "`%Z`" + ` is UTC, not GMT | UTC instead of local time; the time of the event instead of that of the flush |
| JSON | UTF-8 instead of ` + "`\\u`" + ` escapes, which is the same text; NaN is null | The order of the event instead of sorted keys; ` + "`<`, `>`, `&`" + ` as they are; 1.0 instead of 1 |
| ` + "`log_key`" + ` | Matches the whole name, one record for each event | Events without the key are sent whole, not dropped |
| Empty events | Dropped, as before, and counted | Dropped and counted; ` + "`empty_events keep`" + ` sends them as before |
| Equal keys | The last one counts, as before | One name once; it was so |
| ` + "`partition_key`" + ` | New | Numbers and booleans count, an event without it is unkeyed, without a line in the log for each event |
| ` + "`compression`" + ` | The same formats and zlib; of the record, before aggregation | The same |
| Too large | ` + "`oversize drop`" + ` does what it did; the default reports an error. With compression it was cut: ` + "`truncate`" + ` | ` + "`oversize truncate`" + ` does what it did, but leaves valid JSON |
| Connection | ` + "`port`" + ` goes into ` + "`endpoint`" + ` as host:port; ` + "`tls.*`, `net.*`" + ` do nothing here (and the host refuses ` + "`tls on`" + `): ` + "`ca_file`, `verify_certificate`, `connect_timeout`, `http_request_timeout`" + ` | The SDK's variables count; ` + "`FLB_LOG_LEVEL`, `SEND_FAILURE_TIMEOUT` and `EKS_POD_EXECUTION_ROLE`" + ` do not: see the ` + "`log_level`" + ` of the output, ` + "`flush_timeout`, `role_arn`" + ` |
| Events in a record | ` + "`simple_aggregation on`" + ` is ` + "`combine lines`" + `, per partition key; its records are aggregated unless ` + "`aggregation off`" + ` | ` + "`combine`" + ` is new |
| Gone | nothing | ` + "`experimental_concurrency*`" + `: ignored with a warning, see ` + "`workers`" + ` |
| Permissions | ` + "`kinesis:ListShards` and `kinesis:DescribeStreamSummary`" + ` beside ` + "`kinesis:PutRecords`" + ` | The same |
`
