// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/klauspost/compress/zstd"
)

func put(t *testing.T, k *local, stream, data string) {
	t.Helper()
	_, err := k.api.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String(stream), PartitionKey: aws.String("a"), Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
}

// The reader takes every mode apart, and accounts for what is lost, doubled and foreign.
func TestEveryEventIsAccountedFor(t *testing.T) {
	k, err := startKinesis(t.Context(), "embedded", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer k.stop()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	events := []string{`{"log":"first"}`, `{"log":"second","n":1.50}`, `{"log":"second","n":1.50}`, `{"log":"fourth"}`}
	in := &inputs{expect: map[string]int{}, count: len(events)}
	for _, e := range events {
		key, err := canonical([]byte(e))
		if err != nil {
			t.Fatal(err)
		}
		in.expect[key]++
	}
	single, combined := modes[0].stream, modes[2].stream
	for _, e := range events {
		put(t, k, single, e)
	}
	// The fourth is lost, the first doubled, and three come from nowhere.
	put(t, k, combined, string(z.EncodeAll([]byte(strings.Join(events[:3], "\n")+"\n"+events[0]+"\n"), nil)))
	put(t, k, combined, "{\"log\":\"other\"}\nno JSON\n"+`{"log":""}`+"\n")
	for _, c := range []struct {
		stream string
		want   string
		size   float64
	}{{single, "read 4, lost 0, doubled 0, foreign 0", 4}, {combined, "read 7, lost 1, doubled 1, foreign 3", 2}} {
		got, err := k.read(t.Context(), c.stream)
		if err != nil {
			t.Fatal(err)
		}
		f := in.compare(got)
		if text := fmt.Sprintf("read %d, lost %d, doubled %d, foreign %d", f.read, f.lost, f.doubled, f.foreign); text != c.want {
			t.Errorf("%s: unexpected account; got %s; want %s", c.stream, text, c.want)
		}
		if got.writes.Records != c.size || got.writes.Units != c.size {
			t.Errorf("%s: unexpected sums; got %+v; want %v records and units", c.stream, got.writes, c.size)
		}
	}
	put(t, k, combined, "\x28\xb5\x2f\xfd damaged")
	if _, err := k.read(t.Context(), combined); err == nil {
		t.Error("a damaged record was not noticed")
	}
}

// Prices are for the rate, whatever number of events was shipped.
func TestPriceOfAMonthIsThatOfTheRate(t *testing.T) {
	o := outcome{contents: &contents{}}
	o.writes.Add(50_000, 300)
	if w := o.month(50_000); w.Units != rate || w.Shards() != 10 {
		t.Errorf("unexpected rate for one record an event; got %+v; want %d units a second and 10 shards", w, rate)
	}
	o.contents = &contents{}
	o.writes.Add(25, 26_000)
	if w := o.month(50_000); w.Records != 5 || w.Units != 10 || w.Shards() != 1 {
		t.Errorf("unexpected rate for 2,000 events in a record; got %+v; want 5 records, 10 units a second", w)
	}
}

func TestOneRecordAnEventGetsShardsForItsNumber(t *testing.T) {
	for events, want := range map[int]int{10: 8, 50_000: 8, 640_000: 102, 1 << 30: 400} {
		if got := modes[0].shards(events); got != want {
			t.Errorf("unexpected shards for %d events; got %d; want %d", events, got, want)
		}
		if got := modes[1].shards(events); got != shardCount {
			t.Errorf("unexpected shards with aggregation; got %d; want %d", got, shardCount)
		}
	}
}

// What the host gets is what is counted, whatever it does with empty lines and with a line that does not end.
func TestHostGetsTheLinesThatAreCounted(t *testing.T) {
	from, dir := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{"a.log": "\nfirst\r\n\r\n\nsecond\nlast", "b.json": "{\"log\":\"third\"}\n\n{\"log\":\"\"}"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in, err := findInputs(filepath.Join(from, "*"), dir, false)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, f := range in.files {
		if filepath.Dir(f.path) != dir {
			t.Errorf("unexpected folder of what is shipped; got %s; want %s", f.path, dir)
		}
		text, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		got += fmt.Sprintf("%v %s", f.json, text)
	}
	want := "false first\nsecond\nlast\ntrue {\"log\":\"third\"}\n{\"log\":\"\"}\n"
	if got != want || in.count != 5 || len(in.expect) != 5 {
		t.Errorf("unexpected files of %d events; got %q; want %q of 5", in.count, got, want)
	}
}

func TestWrongSettingsAreRefusedFirst(t *testing.T) {
	for _, c := range []struct{ kinesis, fluentBit, want string }{
		{"", "", ""},
		{"kinesalite", "", ""},
		{"aws", "", `KINESIS: "aws": not known; allowed: embedded, kinesalite or kinesis-local`},
		{"", "/nope", `FLUENT_BIT: "/nope": cannot be run: stat /nope: no such file or directory; allowed: the path of a fluent-bit`},
		{"", t.TempDir(), `is a directory; allowed: `},
	} {
		t.Setenv("KINESIS", c.kinesis)
		t.Setenv("FLUENT_BIT", c.fluentBit)
		err := check(c.kinesis, c.fluentBit)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("unexpected error for %q and %q; got %v; want %q", c.kinesis, c.fluentBit, err, c.want)
		}
		if err == nil {
			continue
		}
		// LOGS would fail, too, were it looked at.
		t.Setenv("LOGS", "/nope")
		if got := demo(t.Context()); got == nil || got.Error() != err.Error() {
			t.Errorf("unexpected error of the demo; got %v; want %v", got, err)
		}
	}
}
