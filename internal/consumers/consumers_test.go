// SPDX-License-Identifier: Apache-2.0

package consumers

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/outkpl/outkpl/internal/event"
)

// logsVariable names a folder of log files that are read besides, line by line.
const logsVariable = "CONSUMERS_LOGS"

// block returns the code of a language in the document.
func block(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/consumers.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n```"+language+"\n")
	code, _, closed := strings.Cut(rest, "\n```\n")
	if !ok || !closed || strings.Contains(rest, "\n```"+language+"\n") {
		t.Fatalf("unexpected code of %s in docs/consumers.md; want one block", language)
	}
	return code + "\n"
}

// missing leaves a test out, but not in CI.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("with CI=true this test may not be left out: "+format, args...)
	}
	t.Skipf("NOT TESTED: "+format, args...)
}

// A decoder is a program that reads a record in base64 a line, and writes its events in
// base64, each with a space behind it, a record a line.
type decoder struct {
	language, file string
	head, tail     string // around the code of the document
	command        func(t *testing.T, file string) *exec.Cmd
}

var decoders = []decoder{
	{language: "python", file: "decoder.py", tail: `
import base64, sys
for line in sys.stdin:
    print("".join(base64.b64encode(e).decode() + " " for e in events(base64.b64decode(line))))
`, command: func(t *testing.T, file string) *exec.Cmd {
		for _, python := range []string{"../../build/consumers/bin/python", "python3"} {
			if exec.Command(python, "-c", "import zstandard").Run() == nil {
				return exec.Command(python, file)
			}
		}
		missing(t, "no python3 with the package zstandard; run make consumers (on Debian: apt-get install python3-venv)")
		return nil
	}},
	{language: "javascript", file: "decoder.js", tail: `
for (const line of require("node:fs").readFileSync(0, "latin1").split("\n").slice(0, -1))
  console.log(events(Buffer.from(line, "base64")).map((e) => e.toString("base64") + " ").join(""));
`, command: func(t *testing.T, file string) *exec.Cmd {
		modules, err := filepath.Abs("../emulators/node_modules")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(modules, "fzstd", "package.json")); err != nil {
			missing(t, "npm package fzstd is not installed; run make npm")
		}
		if _, err := exec.LookPath("node"); err != nil {
			missing(t, "node is not on PATH (on Debian: apt-get install nodejs npm)")
		}
		c := exec.Command("node", file)
		c.Env = append(os.Environ(), "NODE_PATH="+modules)
		return c
	}},
	{language: "java", file: "Main.java", tail: `
final class Main {
    public static void main(String[] args) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        PrintStream out = new PrintStream(new BufferedOutputStream(System.out));
        for (String line; (line = in.readLine()) != null; ) {
            for (byte[] e : Events.of(ByteBuffer.wrap(Base64.getDecoder().decode(line)))) out.print(Base64.getEncoder().encodeToString(e) + " ");
            out.print("\n");
        }
        out.flush();
    }
}
`, command: func(t *testing.T, file string) *exec.Cmd {
		jars, err := filepath.Abs("../emulators/java/target/lib")
		if err != nil {
			t.Fatal(err)
		}
		if found, err := filepath.Glob(filepath.Join(jars, "zstd-jni-*.jar")); err != nil || len(found) == 0 {
			missing(t, "internal/emulators/java/target/lib/zstd-jni-*.jar is missing; run make jvm")
		}
		dir := filepath.Dir(file)
		if out, err := exec.Command("javac", "-cp", jars+"/*", "-d", dir, file).CombinedOutput(); err != nil {
			t.Fatalf("cannot compile the code of java: %v: %s", err, out)
		}
		return exec.Command("java", "-cp", jars+"/*"+string(os.PathListSeparator)+dir, "Main")
	}},
	{language: "go", file: "main.go", head: `package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"os"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/combined"
)

`, tail: `
func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for in.Scan() {
		data, err := base64.StdEncoding.DecodeString(in.Text())
		if err != nil {
			panic(err)
		}
		found, err := events(&combined.Decoder{}, "k", data)
		if err != nil {
			panic(err)
		}
		for _, e := range found {
			fmt.Fprint(out, base64.StdEncoding.EncodeToString(e), " ")
		}
		fmt.Fprintln(out)
	}
}
`, command: func(t *testing.T, file string) *exec.Cmd {
		c := exec.Command("go", "run", file)
		return c
	}},
}

// run decodes records.
func (d *decoder) run(t *testing.T, records [][]byte) (out [][]string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), d.file)
	if err := os.WriteFile(file, []byte(d.head+block(t, d.language)+d.tail), 0o600); err != nil {
		t.Fatal(err)
	}
	c := d.command(t, file)
	var in, stdout, stderr bytes.Buffer
	for _, r := range records {
		fmt.Fprintln(&in, base64.StdEncoding.EncodeToString(r))
	}
	c.Stdin, c.Stdout, c.Stderr = &in, &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("cannot run the code of %s: %v: %s", d.language, err, stderr.String())
	}
	for line := range strings.Lines(stdout.String()) {
		var events []string
		for _, field := range strings.Split(strings.TrimSuffix(line, "\n"), " ") {
			e, err := base64.StdEncoding.DecodeString(field)
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, string(e))
		}
		out = append(out, events[:len(events)-1]) // behind the last space
	}
	return out
}

// input is a chunk of events with a text each.
type input struct {
	name   string
	chunk  []byte
	config event.Config
	texts  []string
	events []string // as records of their own
}

// want is what a consumer of that form is to get of event i.
func (in *input) want(form string, i int) string {
	if in.config.LogKey == "" {
		return in.events[i]
	}
	text := in.texts[i]
	if form == "json_array" || text == "" || text[0] == '"' || strings.ContainsAny(text, "\n\r") {
		return string([]rune(text)) // a JSON string has U+FFFD for each byte that is not UTF-8
	}
	return text
}

// stackTraces are texts of several lines, as an input of shippers joins them.
var stackTraces = []string{
	"java.lang.IllegalStateException: x\n\tat a.B.c(B.java:7)\n\tat d.E.f(E.java:9)\nCaused by: java.io.IOException: \"disk\" full\n\t... 12 more\n",
	"Traceback (most recent call last):\r\n  File \"app.py\", line 3, in <module>\r\n    main()\r\nValueError: 'a\\nb'\r\n",
	"panic: runtime error\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:12 +0x1b\n\n",
}

// madeTexts are lines with all that a log may have in it.
func madeTexts() []string {
	r := rand.New(rand.NewPCG(18, 4))
	parts := []string{
		"\n", "\r", "\r\n", "\x00", "\x1f", "\x7f", "\t", "\"", "\\", "\\u0000", "/", "<&>", "\u2028", "\ufeff", "caf\u00e9", "\u2603", "\U0001D11E", "\U0010FFFF",
		"\xff", "\xc3", "\xed\xa0\x80", "\xf0\x9f\x92", "\x80", "{\"a\":[1,2]}", "[x]", "\x28\xb5\x2f\xfd", "\x1f\x8b\x08", "x^", " ", ",", "null", "word", "status=200",
	}
	texts := append([]string{"", "", "\n", "\"", "\x00"}, stackTraces...)
	for len(texts) < 3000 {
		var b strings.Builder
		for range r.IntN(12) {
			b.WriteString(parts[r.IntN(len(parts))])
		}
		texts = append(texts, b.String())
	}
	long := strings.Repeat("very long \u2603 line \U0001F600 ", 40_000)
	return append(texts, long, "short", long+"\n\tat a.B.c(B.java:7)", "", stackTraces[0])
}

// readInput returns inputs of text and of JSON.
func readInput(t *testing.T) (out []input) {
	t.Helper()
	texts := []string{
		"plain", "", "two\nlines", stackTraces[0], "cr\rlf\r\n",
		`"quoted"`, `{"json":true}`, "[Sun Dec 04 04:47:44 2005] [notice] up", "naïve ☃ 𝄞", "tab\tand \\ backslash", "\x00\x1f", "7", "null", " leads",
	}
	lines := strings.Split(strings.Repeat("2026-11-24T07:31:02.123Z INFO request handled status=200 ms=12\n", 3000), "\n")
	for i := range lines {
		lines[i] += fmt.Sprint(i)
	}
	add := func(name string, texts []string) {
		for _, config := range []event.Config{{LogKey: "log"}, {TimeKey: "time"}} {
			out = append(out, newInput(t, fmt.Sprintf("%s with log_key %q", name, config.LogKey), config, texts))
		}
	}
	add("texts", texts)
	add("one text", texts[:1])
	add("one stack trace", stackTraces[:1])
	add("lines", lines)
	add("made lines", madeTexts())
	dir := os.Getenv(logsVariable)
	if dir == "" {
		return out
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s=%q: %v", logsVariable, dir, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(b), "\n")
		add(filepath.Base(f), lines)
		var several []string // up to seven lines an event
		for i := 0; len(lines) > 0; i++ {
			n := min(1+i%7, len(lines))
			several, lines = append(several, strings.Join(lines[:n], "\n")), lines[n:]
		}
		add(filepath.Base(f)+", several lines an event", several)
	}
	return out
}

// newInput makes a chunk of texts.
func newInput(t *testing.T, name string, config event.Config, texts []string) input {
	t.Helper()
	in := input{name: name, config: config, texts: texts}
	for i, text := range texts {
		e, err := msgpack.Marshal([]any{1795505462 + i, map[string]any{"log": text, "n": i, "f": float64(i) / 4, "k": map[string]any{"pod": "x", "a": []any{i, nil, true}}}})
		if err != nil {
			t.Fatal(err)
		}
		in.chunk = append(in.chunk, e...)
	}
	for i, r := range shape(t, config, in.chunk) {
		in.events = append(in.events, string(r))
		if config.LogKey != "" {
			continue
		}
		var v struct {
			Log string
			N   int
		}
		if err := json.Unmarshal(r, &v); err != nil || v.N != i || v.Log != string([]rune(texts[i])) {
			t.Fatalf("unexpected event %d of %s; got %.200q and %v; want the text %.200q in it", i, name, r, err, texts[i])
		}
	}
	return in
}

// shape returns the payloads of a chunk.
func shape(t *testing.T, config event.Config, chunk []byte) (out [][]byte) {
	t.Helper()
	s, err := event.NewShaper(config)
	if err != nil {
		t.Fatal(err)
	}
	var b event.Builder
	var ev event.Event
	for r := event.NewChunkReader(chunk); r.Next(&ev) == nil; {
		if _, err := b.Add(s, "tag", &ev); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range b.Records() {
		out = append(out, bytes.Clone(r.Data))
	}
	return out
}

func TestTheDecodersOfTheDocumentGiveEveryEventBack(t *testing.T) {
	inputs := readInput(t)
	type part struct {
		name, form     string
		input, records int
	}
	var records [][]byte
	var parts []part
	for i := range inputs {
		for _, form := range []string{"lines", "json_array"} {
			for _, compression := range []string{"none", "gzip", "zstd"} {
				c := inputs[i].config
				c.Combine, c.Compression, c.CombineSize = form, compression, 64<<10
				if i%4 == 0 {
					c.CombineSize = 10 << 20
				}
				shaped := shape(t, c, inputs[i].chunk)
				records = append(records, shaped...)
				parts = append(parts, part{fmt.Sprintf("%s as %s with %s", inputs[i].name, form, compression), form, i, len(shaped)})
			}
		}
	}
	for _, d := range decoders {
		t.Run(d.language, func(t *testing.T) {
			got := d.run(t, records)
			if len(got) != len(records) {
				t.Fatalf("unexpected number of records; got %d; want %d", len(got), len(records))
			}
			total, size := 0, 0
			for _, p := range parts {
				var events []string
				for _, r := range got[:p.records] {
					events = append(events, r...)
				}
				got = got[p.records:]
				in := &inputs[p.input]
				if len(events) != len(in.texts) {
					t.Errorf("unexpected number of events of %s; got %d; want %d", p.name, len(events), len(in.texts))
					continue
				}
				for k := range events {
					want := in.want(p.form, k)
					if events[k] != want && !(d.language == "javascript" && p.form == "json_array" && equalJSON(events[k], want)) {
						t.Errorf("unexpected event %d of %s; got %.300q; want %.300q", k, p.name, events[k], want)
						break
					}
					size += len(events[k])
				}
				total += len(events)
			}
			t.Logf("%d events of %d records, %d bytes", total, len(records), size)
		})
	}
}

// equalJSON tells whether two texts are objects of the same values.
func equalJSON(a, b string) bool {
	var x, y map[string]any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

func TestADecoderRefusesWhatIsTooLarge(t *testing.T) {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	g := gzip.NewWriter(&zipped)
	large := bytes.Repeat([]byte{'x'}, 64<<20+2)
	large[len(large)-1] = '\n'
	if _, err := g.Write(large); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	for name, record := range map[string][]byte{"zstd": z.EncodeAll(large, nil), "gzip": zipped.Bytes()} {
		for _, d := range decoders {
			if d.language == "javascript" && name == "zstd" {
				continue // fzstd has no bound, Node's own zstd has
			}
			t.Run(name+"/"+d.language, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), d.file)
				if err := os.WriteFile(file, []byte(d.head+block(t, d.language)+d.tail), 0o600); err != nil {
					t.Fatal(err)
				}
				c := d.command(t, file)
				c.Stdin = strings.NewReader(base64.StdEncoding.EncodeToString(record) + "\n")
				if out, err := c.Output(); err == nil {
					t.Errorf("unexpected success; got %d bytes", len(out))
				}
			})
		}
	}
}

// Firehose puts records behind each other into a file.
func TestRecordsBehindEachOtherAreAValidFile(t *testing.T) {
	for _, in := range readInput(t) {
		config := in.config
		config.Combine, config.CombineSize = "lines", 4096
		var want []byte
		for _, r := range shape(t, config, in.chunk) {
			want = append(want, r...)
		}
		for compression, open := range map[string]func(io.Reader) (io.Reader, error){
			"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
			"zstd": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r, zstd.WithDecoderConcurrency(1)) },
		} {
			config.Compression = compression
			r, err := open(bytes.NewReader(bytes.Join(shape(t, config, in.chunk), nil)))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
				t.Errorf("unexpected content of a file of %s; got %d bytes and %v; want %d", compression, len(got), err, len(want))
			}
		}
	}
}
