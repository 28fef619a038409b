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

From ` + "`kinesis_streams` or `kinesis`" + `: [migration.md](migration.md) has the order of steps, a table of options for each, and what is different.
`
