// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestEventsOfARecordAreShownOneByOne(t *testing.T) {
	const lines = "{\"n\":0}\n\"two\\nlines\"\n[plain\n"
	for name, data := range map[string]string{
		"":       lines,
		"gzip":   string(pack(t, "gzip", lines)),
		"zstd":   string(pack(t, "zstd", lines)),
		"zlib":   string(pack(t, "zlib", lines)),
		"snappy": string(pack(t, "snappy", lines)),
	} {
		s := newServer(t, 1)
		put(t, s, 0, "k", aggregate(t, ur{"x", "0", data}, ur{"y", "1", "[{\"n\":1},\"t\"]"}, ur{"z", "2", "not combined"}))
		r := of(t, s, "--events").ok(t)
		want := []string{
			`"subsequence":0,"event":0,|"data":{"n":0}`, `"subsequence":0,"event":1,|"data":"two\nlines"`, `"subsequence":0,"event":2,|"data":"[plain"`,
			`"subsequence":1,"event":0,|"data":{"n":1}`, `"subsequence":1,"event":1,|"data":"t"`, `"subsequence":2,"arrival"|"data":"not combined"`,
		}
		got := strings.Split(strings.TrimSpace(r.stdout), "\n")
		if len(got) != len(want) {
			t.Fatalf("unexpected lines with %q; got\n%s", name, r.stdout)
		}
		for i, w := range want {
			first, last, _ := strings.Cut(w, "|")
			if !strings.Contains(got[i], first) || !strings.HasSuffix(got[i], last+"}") || strings.Contains(got[i], `"compression":"`+name+`"`) != (name != "" && i < 3) {
				t.Errorf("unexpected line %d with %q; got %s; want it with %s", i, name, got[i], w)
			}
		}
		if !strings.Contains(r.stderr, "6 events in 3 user records in 1 Kinesis record") || strings.Contains(r.stderr, "shown") {
			t.Errorf("unexpected summary; got %s", r.stderr)
		}
		if got := of(t, s, "--events=lines", "--raw", "--key", "x", "--limit", "2").ok(t).stdout; got != "{\"n\":0}\ntwo\nlines\n" {
			t.Errorf("unexpected payloads with %q; got %q", name, got)
		}
		if got := of(t, s, "--events", "--grep", "two").ok(t); strings.Count(got.stdout, "\n") != 1 {
			t.Errorf("unexpected lines of a search with %q; got\n%s", name, got.stdout)
		}
		if got := of(t, s).ok(t).stdout; strings.Count(got, "\n") != 3 || strings.Contains(got, `"event"`) {
			t.Errorf("unexpected lines without --events; got\n%s", got)
		}
	}
}

func TestStatsCountEventsBytesAndMoney(t *testing.T) {
	lines := strings.Repeat("{\"message\":\"the same\"}\n", 2000)
	data := string(pack(t, "zstd", lines))
	s := newServer(t, 1)
	put(t, s, 0, "k", aggregate(t, ur{"x", "0", data}, ur{"y", "1", "one event"}))
	var got struct{ Total counts }
	if err := json.Unmarshal([]byte(of(t, s, "--stats=json", "--events").ok(t).stdout), &got); err != nil {
		t.Fatal(err)
	}
	c := got.Total
	if c.Events != 2001 || c.UserRecords != 2 || c.KinesisRecords != 1 || c.UnpackedBytes != int64(len(lines)+9) || c.PayloadBytes != int64(len(data)+9) ||
		c.PutPayloadUnits != 1 || c.SinglePutPayloadUnits != 2001 || c.USDProvisioned != 0.014/1e6 || c.USDOnDemand != 0.08/(1<<20) {
		t.Errorf("unexpected counts; got %+v", c)
	}
	table := of(t, s, "--stats", "--events").ok(t).stdout
	rows := strings.Split(strings.TrimSpace(table), "\n")
	if f := strings.Fields(rows[len(rows)-1]); len(f) != 21 || strings.Join(f[17:], " ") != "2001 46009 1.4e-08 7.63e-08" {
		t.Errorf("unexpected table; got\n%s", table)
	}
}

func TestDamagedRecordsAreShownAsTheyAre(t *testing.T) {
	data := string(pack(t, "gzip", "{\"n\":0}\n"))
	s := newServer(t, 1)
	put(t, s, 0, "k", []byte(data[:len(data)-6]))
	r := of(t, s, "--events").ok(t)
	if !strings.Contains(r.stdout, `"data_base64":"`) || strings.Contains(r.stdout, `"event"`) || !strings.Contains(r.stderr, "1 payload not decompressed") {
		t.Errorf("unexpected output; got %s%s", r.stdout, r.stderr)
	}
	if r := of(t, s, "--events=array"); r.code != exitUsage || !strings.Contains(r.stderr, `--events: "array": not one of the allowed words; allowed: auto, lines or json_array`) {
		t.Errorf("unexpected answer to a form that is not known; got %d and %s", r.code, r.stderr)
	}
}
