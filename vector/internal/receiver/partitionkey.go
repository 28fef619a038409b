// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/outkpl/outkpl/internal/event"
	"github.com/outkpl/outkpl/vector/internal/body"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// keyRule says where partition keys come from: nowhere (the producer spreads the
// events), a text, or a field.
type keyRule struct {
	text     string // as it was configured
	constant string
	path     []string
}

// parseKeyRule reads a, a->b->c, $a['b'][0] and constant:TEXT. Package event checks
// the grammar, so that both receivers have the same one.
func parseKeyRule(s string) (keyRule, error) {
	k := keyRule{text: s}
	if s == "" {
		return k, nil
	}
	if s == "$TAG" || strings.HasPrefix(s, "$TAG[") {
		return k, errors.New("requests have no tag")
	}
	if _, err := event.NewShaper(event.Config{PartitionKey: s}); err != nil {
		return k, fmt.Errorf("cannot use the partition key: %w", err)
	}
	switch {
	case strings.HasPrefix(s, config.ConstantPrefix):
		k.constant = s[len(config.ConstantPrefix):]
	case strings.HasPrefix(s, "$"):
		k.path = accessorPath(s[1:])
	default:
		k.path = strings.Split(s, "->")
	}
	return k, nil
}

// accessorPath takes a['b'][0] apart, which is known to be valid.
func accessorPath(s string) []string {
	var p []string
	name, rest, found := strings.Cut(s, "[")
	if name != "" {
		p = append(p, name)
	}
	for found {
		var step string
		if q := rest[:1]; q == "'" || q == `"` {
			step, rest, _ = strings.Cut(rest[1:], q+"]")
		} else {
			step, rest, _ = strings.Cut(rest, "]")
		}
		p = append(p, step)
		rest, found = strings.CutPrefix(rest, "[")
	}
	return p
}

// keyFinder finds the partition keys of one body's events.
type keyFinder struct {
	rule    keyRule
	fields  body.Options // with the Path that the events were split with
	scratch []byte       // for keys with escapes
}

// find returns the key, or "" if the event has none or none is asked for.
func (k *keyFinder) find(ev *body.Event) string {
	if len(k.rule.path) == 0 {
		return k.rule.constant
	}
	if k.scratch == nil {
		k.scratch = make([]byte, 0, 256)
	}
	value, kind, ok := k.fields.Field(k.scratch, ev)
	if !ok || kind != body.ValueString && kind != body.ValueNumber && kind != body.ValueBool {
		return ""
	}
	if value = cutKey(value); len(value) == 0 {
		return ""
	}
	if &value[0] == &k.scratch[:1][0] {
		return string(value)
	}
	// It lies in the event, or in memory of its own. Both stay as they are for as long as the
	// record needs its data, and so the key is no copy.
	return unsafe.String(&value[0], len(value))
}

// cutKey cuts a key at the length that Kinesis takes.
func cutKey(b []byte) []byte {
	if len(b) <= event.MaxKeyCharacters {
		return b
	}
	end := 0
	for range event.MaxKeyCharacters {
		_, n := utf8.DecodeRune(b[end:])
		if end += n; end == len(b) {
			break
		}
	}
	return b[:end]
}
