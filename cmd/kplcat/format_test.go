// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestTemplatesSeeWhatIsKnownOfARecord(t *testing.T) {
	s := newServer(t, 1)
	put(t, s, 0, "plain", []byte(`{"level":"info","n":1.50,"kubernetes":{"pod_name":"web-1"},"a":[1]}`))
	put(t, s, 0, "outer", aggregate(t, ur{"one", "7", "text <&>"}, ur{"two", "", "\x00\xff"}))
	for format, want := range map[string][]string{
		"{{.Key}}|{{.Data}}": {`plain|{"level":"info","n":1.50,"kubernetes":{"pod_name":"web-1"},"a":[1]}`, "one|text <&>", "two|\x00\xff"},
		`{{.Field "level"}}{{.Field "kubernetes" "pod_name"}}`:                                     {"infoweb-1", "", ""},
		`{{.Field "n"}} {{.Field "kubernetes"}} {{.Field "a"}}{{.Field "n" "x"}}{{.Field "none"}}`: {`1.50 {"pod_name":"web-1"} [1]`, "  ", "  "},
		"{{.Shard}} {{.Subsequence}} {{.Event}} {{.HashKey}} {{.Aggregated}} {{.Misplaced}}":       {"shardId-000000000000 -1 -1  false false", "shardId-000000000000 0 -1 7 true false", "shardId-000000000000 1 -1  true false"},
		`{{json .Key}} {{with .JSON}}{{.level}}{{end}}`:                                            {`"plain" info`, `"one" `, `"two" `},
		`{{if .Arrival.IsZero}}none{{else}}{{len .Time}}{{end}}`:                                   {"24", "24", "24"},
		"fixed{{/* nothing */}}": {"fixed", "fixed", "fixed"},
	} {
		r := of(t, s, "--format", format).ok(t)
		if got := strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n"); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: unexpected output; got %q; want %q", format, got, want)
		}
	}
}

func TestTemplatesThatAreWrongAreNamed(t *testing.T) {
	for format, want := range map[string]string{
		"{{.Kye}}":   "there is no field .Kye; fields: .Shard",
		"{{.Key":     "unclosed action",
		"{{bytes 1}": "--format",
		"text":       `--format: "text": not a form of output; allowed: auto, json, compact or a Go template with {{ and }}`,
	} {
		r := kplcat(t, "", "--format", format, stream)
		if r.code != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: unexpected result; got %+v; want %q", format, r, want)
		}
	}
	s := newServer(t, 1)
	put(t, s, 0, "k", []byte("text"))
	if r := of(t, s, "--format", "{{index .JSON 0}}"); r.code != exitError || !strings.Contains(r.stderr, "--format") {
		t.Errorf("unexpected result of a template that fails at a record; got %+v", r)
	}
	for _, args := range [][]string{{"--format", "json", "--raw"}, {"--format", "compact", "--stats"}, {"--format", "compact", "--data", "text"}} {
		if r := kplcat(t, "", append(args, stream)...); r.code != exitUsage || !strings.Contains(r.stderr, "cannot be combined") {
			t.Errorf("%v: unexpected result; got %+v", args, r)
		}
	}
	if r := of(t, s, "--format", "json", "--data", "base64").ok(t); !strings.Contains(r.stdout, `"data_base64":"dGV4dA=="`) {
		t.Errorf("unexpected output; got %q", r.stdout)
	}
}

func TestCompactFormIsOneLineForARecord(t *testing.T) {
	s := newServer(t, 2)
	last := s.Shards(stream)[0].EndingHashKey
	put(t, s, 0, "pod-1", []byte("two\nlines\tand a bell\a, \x1b[31mred\x1b[0m \u009b1m caf\u00e9"))
	put(t, s, 0, strings.Repeat("k", 30), []byte(`{"n": 1}`))
	put(t, s, 0, "a", aggregate(t, ur{"in", "0", "kept"}, ur{"out", "340282366920938463463374607431768211455", "gone"}, ur{"edge", last, "x"}))
	put(t, s, 0, "b", append([]byte{}, "\xf3\x89\x9a\xc2torn"...))
	r := of(t, s, "--format", "compact", "--shard", "0").ok(t)
	var got []string
	for l := range strings.Lines(r.stdout) {
		got = append(got, l[len("11-28 23:47:20.254 "):])
	}
	want := []string{
		`0 pod-1 two\nlines and a bell\x07, \x1b[31mred\x1b[0m \x9b1m caf` + "\u00e9\n",
		"0 " + strings.Repeat("k", 30) + ` {"n": 1}` + "\n",
		"0 in    [misplaced] kept\n",
		"0 out   [out of range] gone\n",
		"0 edge  [misplaced] x\n",
		"0 b     [damaged aggregate] base64:84mawnRvcm4=\n",
	}
	if strings.Join(got, "") != strings.Join(want, "") {
		t.Errorf("unexpected lines; got\n%s\nwant\n%s", strings.Join(got, ""), strings.Join(want, ""))
	}
	if strings.Contains(r.stdout, "\x1b") {
		t.Error("unexpected control characters in the output")
	}
	r = of(t, s, "--format", "compact", "--color", "always", "--limit", "1").ok(t)
	if !strings.Contains(r.stdout, "\x1b[36m0\x1b[0m \x1b[33mpod-1\x1b[0m two") {
		t.Errorf("unexpected colours; got %q", r.stdout)
	}
}

func TestShardsAreShort(t *testing.T) {
	for id, want := range map[string]string{"shardId-000000000000": "0", "shardId-000000000120": "120", "shardId-x": "shardId-x", "other": "other", "": ""} {
		if got := shortShard(id); got != want {
			t.Errorf("unexpected name of %q; got %q; want %q", id, got, want)
		}
	}
}

func TestDoctorWithoutARegionSaysHowToSetOne(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	r := kplcat(t, "", "doctor", stream)
	if want := "fail  region  none is set, so nothing can be called\n              -> set --region, AWS_REGION or the region of the profile, or give the stream by its ARN\n"; r.code != exitError || r.stdout != want || r.stderr != "" {
		t.Errorf("unexpected result; got %+v; want %q", r, want)
	}
	if r := kplcat(t, "", "doctor", "--json", stream); r.code != exitError || !strings.HasPrefix(r.stdout, `{"check":"region","level":"fail",`) || !strings.Contains(r.stdout, `"advice":"set --region`) {
		t.Errorf("unexpected JSON; got %+v", r)
	}
}
