// SPDX-License-Identifier: Apache-2.0

package event

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseKey(t *testing.T) {
	field := func(steps ...any) keyRule {
		var p path
		for _, s := range steps {
			switch s := s.(type) {
			case string:
				p = append(p, step{key: s, index: -1})
			case int:
				p = append(p, step{index: s})
			}
		}
		return keyRule{source: keyField, path: p}
	}
	fixed := func(parts ...part) keyRule { return keyRule{source: keyFixed, tpl: parts} }
	tpl := func(parts ...part) keyRule { return keyRule{source: keyTemplate, tpl: parts} }
	tests := []struct {
		in   string
		want keyRule
	}{
		{"", keyRule{source: keyNone}},
		{"$TAG", fixed(part{source: partTag})},
		{"$TAG[0]", fixed(part{source: partTagPart})},
		{"$TAG[12]", fixed(part{source: partTagPart, tagPart: 12})},
		{"constant:a b->c", fixed(part{literal: "a b->c"})},
		{"constant:" + strings.Repeat("\u00e9", 256), fixed(part{literal: strings.Repeat("\u00e9", 256)})},
		{"log", field("log")},
		{"a.b c", field("a.b c")},
		{"a->b->c", field("a", "b", "c")},
		{"a[0]", field("a[0]")},
		{"TAG", field("TAG")},
		{"$a", field("a")},
		{"$a['b']['c']", field("a", "b", "c")},
		{`$a["b's"]`, field("a", "b's")},
		{"$a['b'][0]['c'][10]", field("a", "b", 0, "c", 10)},
		{"$['TAG']", field("TAG")},
		{"$['constant:x']['a.b']", field("constant:x", "a.b")},
		{"$TAGS['x']", field("TAGS", "x")},
		{"$tag", field("tag")},
		{"$user-id", field("user-id")},
		{"x-$TAG[1]/y", fixed(part{literal: "x-"}, part{source: partTagPart, tagPart: 1}, part{literal: "/y"})},
		{"$TAG-x", fixed(part{source: partTag}, part{literal: "-x"})},
		{"$a$b", tpl(part{source: partField, path: field("a").path}, part{source: partField, path: field("b").path})},
		{"$a['b']c", tpl(part{source: partField, path: field("a", "b").path}, part{literal: "c"})},
		{"$['a'].b", tpl(part{source: partField, path: field("a").path}, part{literal: ".b"})},
		{"$a.$b", tpl(part{source: partField, path: field("a").path}, part{literal: "."}, part{source: partField, path: field("b").path})},
		{"$metadata['a']", tpl(part{source: partMetadata, path: field("metadata", "a").path})},
		{"$metadata", field("metadata")},
		{"$group['resource']['x']", tpl(part{source: partGroup, path: field("group", "resource", "x").path})},
	}
	for _, tt := range tests {
		got, err := parseKey(tt.in)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("unexpected rule for %q; got %+v, error %v; want %+v", tt.in, got, err, tt.want)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, in := range []string{
		"->", "a->", "->a", "a->->b", "$", "$a.b", "$a['b'", "$a['b", "$a[", "$a[b]", "$a[-1]", "$a[+1]", "$a[]", "$a['']",
		"$a->b", "$a['b']->c", "$0", "$1x", "$a'b", "x$", "$$", "$[0]", "$TAG[", "$TAG[x]", "$TAG['x']", "$TAG[-1]", "$TAG[99999999999]", "$a]",
		"constant:", "constant:" + strings.Repeat("x", 257), "constant:\xff", "\xff",
		strings.Repeat("a->", 64) + "a",
	} {
		if _, err := parseKey(in); err == nil {
			t.Errorf("unexpected success for %q; want an error", in)
		}
	}
}

func TestTagPart(t *testing.T) {
	tests := []struct {
		tag  string
		n    int
		want string
	}{
		{"kube.var.log", 0, "kube"},
		{"kube.var.log", 1, "var"},
		{"kube.var.log", 2, "log"},
		{"kube.var.log", 3, ""},
		{"kube", 0, "kube"},
		{"kube", 1, ""},
		{"a..b", 1, ""},
		{"a..b", 2, "b"},
		{"a.", 1, ""},
		{"", 0, ""},
	}
	for _, tt := range tests {
		if got := tagPart(tt.tag, tt.n); got != tt.want {
			t.Errorf("unexpected part %d of %q; got %q; want %q", tt.n, tt.tag, got, tt.want)
		}
	}
}

// keyOf adds one event under the expression and returns its key.
func keyOf(t *testing.T, cfg Config, tag string, body []byte) (string, Outcome) {
	t.Helper()
	s, err := NewShaper(cfg)
	if err != nil {
		t.Fatalf("unexpected error for %+v: %v", cfg, err)
	}
	var b Builder
	outcome, err := b.Add(s, tag, &Event{Body: body})
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
	recs := b.Records()
	if outcome&Dropped != 0 {
		if len(recs) != 0 {
			t.Fatalf("unexpected record of a dropped event")
		}
		return "", outcome
	}
	if len(recs) != 1 || recs[0].ExplicitHashKey != "" {
		t.Fatalf("unexpected records: %+v", recs)
	}
	return recs[0].PartitionKey, outcome
}

func TestPartitionKeyFromField(t *testing.T) {
	body := fixmap(
		str("s"), str("text"),
		str("b"), bin("bytes"),
		str("i"), []byte{0xd0, 0xfb},
		str("f"), f64(2),
		str("t"), []byte{0xc3},
		str("nil"), []byte{0xc0},
		str("empty"), str(""),
		str("nan"), f64(math.NaN()),
		str("ext"), []byte{0xd4, 5, 1},
		str("m"), fixmap(str("x"), fixmap(str("y"), str("deep")), str("a"), fixarray(str("zero"), fixmap(str("k"), str("in array")))),
		bin("binkey"), str("under bin"),
		str("twice"), str("first"),
		str("twice"), str("second"),
		[]byte{5}, str("under five"),
		str("bad"), str("a\xffb"),
	)
	tests := []struct {
		expr, want string
		outcome    Outcome
	}{
		{"s", "text", 0},
		{"b", "bytes", 0},
		{"i", "-5", 0},
		{"f", "2.0", 0},
		{"t", "true", 0},
		{"m->x->y", "deep", 0},
		{"$m['x']['y']", "deep", 0},
		{"$m['a'][0]", "zero", 0},
		{"$m['a'][1]['k']", "in array", 0},
		{"binkey", "under bin", 0},
		{"twice", "second", 0},
		{"bad", "a\uFFFDb", 0},
		{"nil", "", KeyMissing},
		{"empty", "", KeyMissing},
		{"nan", "", KeyMissing},
		{"ext", "", KeyMissing},
		{"m", "", KeyMissing},
		{"$m['a']", "", KeyMissing},
		{"$m['a'][2]", "", KeyMissing},
		{"$m[0]", "", KeyMissing},
		{"$m['a']['x']", "", KeyMissing},
		{"s->x", "", KeyMissing},
		{"m->x->z", "", KeyMissing},
		{"S", "", KeyMissing},
		{"5", "", KeyMissing},
	}
	for _, tt := range tests {
		got, outcome := keyOf(t, Config{PartitionKey: tt.expr}, "tag", body)
		if got != tt.want || outcome != tt.outcome {
			t.Errorf("unexpected key for %q; got %q (%v); want %q (%v)", tt.expr, got, outcome, tt.want, tt.outcome)
		}
	}
}

func TestPartitionKeyRules(t *testing.T) {
	body := fixmap(str("a"), str("value"))
	long := strings.Repeat("t", 257)
	tests := []struct {
		name    string
		cfg     Config
		tag     string
		want    string
		outcome Outcome
	}{
		{"no expression spreads", Config{}, "tag", "", 0},
		{"no expression spreads whatever the missing rule", Config{PartitionKeyMissing: "drop"}, "tag", "", 0},
		{"tag", Config{PartitionKey: "$TAG"}, "kube.x", "kube.x", 0},
		{"tag part", Config{PartitionKey: "$TAG[1]"}, "kube.x", "x", 0},
		{"constant", Config{PartitionKey: "constant:all"}, "kube.x", "all", 0},
		{"missing, by default unkeyed", Config{PartitionKey: "z"}, "tag", "", KeyMissing},
		{"missing, unkeyed", Config{PartitionKey: "z", PartitionKeyMissing: "unkeyed"}, "tag", "", KeyMissing},
		{"missing, tag", Config{PartitionKey: "z", PartitionKeyMissing: "tag"}, "tag", "tag", KeyMissing},
		{"missing, empty tag", Config{PartitionKey: "z", PartitionKeyMissing: "tag"}, "", "", KeyMissing},
		{"missing, constant", Config{PartitionKey: "z", PartitionKeyMissing: "constant:c"}, "tag", "c", KeyMissing},
		{"missing, drop", Config{PartitionKey: "z", PartitionKeyMissing: "drop"}, "tag", "", KeyMissing | Dropped},
		{"present, drop", Config{PartitionKey: "a", PartitionKeyMissing: "drop"}, "tag", "value", 0},
		{"empty tag is missing", Config{PartitionKey: "$TAG", PartitionKeyMissing: "constant:c"}, "", "c", KeyMissing},
		{"absent tag part is missing", Config{PartitionKey: "$TAG[5]", PartitionKeyMissing: "tag"}, "a.b", "a.b", KeyMissing},
		{"invalid tag is repaired", Config{PartitionKey: "$TAG"}, "a\xff", "a\uFFFD", 0},
		{"long tag is cut", Config{PartitionKey: "$TAG"}, long, long[:256], KeyCut},
		{"long tag is cut when missing", Config{PartitionKey: "z", PartitionKeyMissing: "tag"}, long, long[:256], KeyCut | KeyMissing},
		{"the key is looked up before shaping", Config{PartitionKey: "a", DataKeys: []string{"b"}, TimeKey: "a", LogKey: "b"}, "tag", "value", LogKeyMissing},
	}
	for _, tt := range tests {
		got, outcome := keyOf(t, tt.cfg, tt.tag, body)
		if got != tt.want || outcome != tt.outcome {
			t.Errorf("unexpected key for %s; got %q (%v); want %q (%v)", tt.name, got, outcome, tt.want, tt.outcome)
		}
	}
}

func TestLongPartitionKeyIsCutAtACharacter(t *testing.T) {
	tests := []struct {
		name, in, want string
		cut            bool
	}{
		{"256 characters", strings.Repeat("x", 256), strings.Repeat("x", 256), false},
		{"257 characters", strings.Repeat("x", 256) + "y", strings.Repeat("x", 256), true},
		{"256 characters of two bytes", strings.Repeat("\u00e9", 256), strings.Repeat("\u00e9", 256), false},
		{"257 characters of four bytes", strings.Repeat("\U0001F600", 257), strings.Repeat("\U0001F600", 256), true},
		{"a wide character at the border stays whole", strings.Repeat("x", 255) + "\u20acyz", strings.Repeat("x", 255) + "\u20ac", true},
		{"invalid bytes count as characters", strings.Repeat("\xff", 300), strings.Repeat("\uFFFD", 256), true},
		{"much longer", strings.Repeat("ab", 100000), strings.Repeat("ab", 128), true},
	}
	for _, tt := range tests {
		got, outcome := keyOf(t, Config{PartitionKey: "k"}, "tag", fixmap(str("k"), str(tt.in)))
		if got != tt.want || (outcome == KeyCut) != tt.cut {
			t.Errorf("unexpected key for %s; got %d characters (%v); want %d, cut %v", tt.name, utf8.RuneCountInString(got), outcome, utf8.RuneCountInString(tt.want), tt.cut)
		}
	}
}
