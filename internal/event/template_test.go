// SPDX-License-Identifier: Apache-2.0

package event

import (
	"strings"
	"testing"
)

func TestTemplates(t *testing.T) {
	body := fixmap(
		str("app"), str("shop"),
		str("user-id"), []byte{7},
		str("kubernetes"), fixmap(str("namespace_name"), str("prod"), str("labels"), fixmap(str("app.kubernetes.io/name"), str("orders"))),
		str("list"), fixarray(str("a"), str("b")),
		str("empty"), str(""),
		str("bad"), str("x\xff"),
		str("metadata"), fixmap(str("uid"), str("of the body")),
		str("group"), fixmap(str("team"), str("of the body")),
	)
	id := "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\xff"
	metadata := fixmap(str("otlp"), fixmap(str("severity_text"), str("WARN"), str("trace_id"), bin(id), str("span_id"), str("0011223344556677")))
	group := fixmap(str("resource"), fixmap(str("attributes"), fixmap(str("service.name"), str("checkout"))))
	for _, tt := range []struct{ expr, want string }{
		{"logs-$app", "logs-shop"},
		{"$app/$kubernetes['namespace_name']", "shop/prod"},
		{"$kubernetes['namespace_name']-logs", "prod-logs"},
		{"$user-id:$app.$list[1]", "7:shop.b"},
		{"$kubernetes['labels'][\"app.kubernetes.io/name\"]", "orders"},
		{"$TAG[1]_$app", "x_shop"},
		{"$TAG-$app", "kube.x-shop"},
		{"$metadata['otlp']['severity_text']", "WARN"},
		{"$metadata['otlp']['trace_id']", "0102030405060708090a0b0c0d0e0fff"},
		{"$metadata['otlp']['span_id']", "0011223344556677"},
		{"$metadata['uid']", "of the body"},
		{"$group['resource']['attributes']['service.name']", "checkout"},
		{"$group['team']", "of the body"},
		{"$bad!", "x\uFFFD!"},
		{"a-$none", ""},
		{"a-$empty", ""},
		{"$TAG[7]-$app", ""},
		{"$kubernetes", ""},
		{"$metadata['none']", ""},
	} {
		s := mustShaper(t, Config{PartitionKey: tt.expr})
		var b Builder
		for _, ev := range []*Event{{Kind: KindGroupStart, Body: group}, {Metadata: metadata, Body: body}} {
			if _, err := b.Add(s, "kube.x", ev); err != nil {
				t.Fatal(err)
			}
		}
		if got := b.Records(); len(got) != 1 || got[0].PartitionKey != tt.want {
			t.Errorf("unexpected key for %q; got %+v; want %q", tt.expr, got, tt.want)
		}
	}
}

func TestGroupEndsWithItsEndMarker(t *testing.T) {
	s := mustShaper(t, Config{PartitionKey: "$group['a']", GroupKey: "otlp"})
	var b Builder
	for _, ev := range []*Event{
		{Body: fixmap()},
		{Kind: KindGroupStart, Body: fixmap(str("a"), str("one"))},
		{Body: fixmap()},
		{Kind: KindGroupEnd, Body: fixmap()},
		{Body: fixmap()},
		{Kind: KindGroupStart, Body: fixmap(str("a"), str("two"))},
		{Body: fixmap()},
	} {
		if _, err := b.Add(s, "t", ev); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, r := range b.Records() {
		got = append(got, r.PartitionKey+string(r.Data))
	}
	want := `{} one{"otlp":{"a":"one"}} {} two{"otlp":{"a":"two"}}`
	if text := strings.Join(got, " "); text != want {
		t.Errorf("unexpected records; got %s; want %s", text, want)
	}
	b.Reset()
	if _, err := b.Add(s, "t", &Event{Body: fixmap()}); err != nil || b.Records()[0].PartitionKey != "" {
		t.Errorf("unexpected group in the next chunk; got %+v, %v", b.Records(), err)
	}
}

func TestMetadataAndGroupAreAddedOnRequest(t *testing.T) {
	id := bin("\x01\x02\x03\x04\x05\x06\x07\x08")
	ev := &Event{Sec: 1, Metadata: fixmap(str("otlp"), fixmap(str("span_id"), id, str("n"), []byte{1})), Body: fixmap(str("log"), str("x"), str("m"), []byte{2})}
	group := &Event{Kind: KindGroupStart, Body: fixmap(str("resource"), fixmap(str("a.b"), []byte{1}))}
	for _, tt := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"neither by default", Config{}, `{"log":"x","m":2}`},
		{
			"both, a key of that name is replaced",
			Config{MetadataKey: "m", GroupKey: "g"},
			`{"log":"x","m":{"otlp":{"span_id":"0102030405060708","n":1}},"g":{"resource":{"a.b":1}}}`,
		},
		{
			"with other options",
			Config{MetadataKey: "meta", GroupKey: "g", TimeKey: "t", TimeKeyFormat: "%s", DataKeys: []string{"m"}, ReplaceDots: "_"},
			`{"m":2,"meta":{"otlp":{"span_id":"0102030405060708","n":1}},"g":{"resource":{"a_b":1}},"t":"1"}`,
		},
		{"not with log_key", Config{MetadataKey: "meta", LogKey: "log"}, `x`},
	} {
		s := mustShaper(t, tt.cfg)
		var b Builder
		for _, e := range []*Event{group, ev} {
			if _, err := b.Add(s, "t", e); err != nil {
				t.Fatal(err)
			}
		}
		if got := string(b.Records()[0].Data); got != tt.want {
			t.Errorf("unexpected payload, %s; got %s; want %s", tt.name, got, tt.want)
		}
	}
	s := mustShaper(t, Config{MetadataKey: "m", GroupKey: "g"})
	var b Builder
	if _, err := b.Add(s, "t", &Event{Metadata: fixmap(), Body: ev.Body}); err != nil || string(b.Records()[0].Data) != `{"log":"x","m":2}` {
		t.Errorf("unexpected payload without metadata and group; got %s, %v", b.Records()[0].Data, err)
	}
}

func TestOneNameForTwoThingsIsRefused(t *testing.T) {
	_, err := NewShaper(Config{TimeKey: "a", MetadataKey: "a", GroupKey: "b", LogKey: "b"})
	for _, want := range []string{"metadata_key", "log_key"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("unexpected error; got %v; want one about %s", err, want)
		}
	}
}

func TestGroupAttributesAreBounded(t *testing.T) {
	s := mustShaper(t, Config{GroupKey: "g", PartitionKey: "$group['a']!"})
	var b Builder
	add := func(body []byte) Outcome {
		t.Helper()
		for _, ev := range []*Event{{Kind: KindGroupStart, Body: body}, {Body: fixmap()}} {
			o, err := b.Add(s, "t", ev)
			if err != nil {
				t.Fatal(err)
			}
			if ev.Kind == KindRecord {
				return o
			}
		}
		return 0
	}
	text := strings.Repeat("\u20ac", 2000)
	if o := add(fixmap(str("a"), str(text))); o != KeyCut || b.Records()[0].PartitionKey != strings.Repeat("\u20ac", 256) {
		t.Errorf("unexpected outcome of a large group; got %v, key of %d bytes", o, len(b.Records()[0].PartitionKey))
	}
	if o := add(fixmap(str("a"), str(strings.Repeat("x", MaxGroupBytes)))); o != GroupLeftOut|KeyMissing || string(b.Records()[1].Data) != "{}" {
		t.Errorf("unexpected outcome of a group that is too large; got %v, %d bytes", o, len(b.Records()[1].Data))
	}
	left := 0
	large := fixmap(str("a"), str(strings.Repeat("x", MaxGroupBytes-100)))
	for range 4500 {
		if o := add(large); o&GroupLeftOut != 0 {
			left++
		}
	}
	if left == 0 || b.Size() > maxGroupJSONBytes+4500*1100 {
		t.Errorf("unexpected size; got %d bytes, %d events without attributes; want at most about %d", b.Size(), left, maxGroupJSONBytes)
	}
	b.Reset()
	if o := add(fixmap(str("a"), str("x"))); o != 0 {
		t.Errorf("unexpected outcome in the next chunk; got %v", o)
	}
}
