// SPDX-License-Identifier: Apache-2.0

package docscheck

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/internal/testkit"
)

// checks are those of the code blocks of a page, by section and in order.
type checks map[string][]func(*testing.T, *clone, string)

// pageChecks are the pages whose code blocks all do what they say.
var pageChecks = map[string]checks{
	"README.md": {
		"Two commands":              {checkTwoCommands},
		"Sixty seconds without AWS": {checkSixtySeconds, checkSmallHost, checkFluentBit},
	},
	"docs/library.md": {
		"The Go library":           {checkGoGet},
		"One record and its place": {checkLibrary},
	},
}

// Each code block of these pages does what it says, from top to bottom as for a reader.
// One that is not to be run (a picture, the output of something) is fenced as text.
func TestCodeBlocksOfReadmeAndLibraryWork(t *testing.T) {
	c := newClone(t)
	for _, page := range []string{"README.md", "docs/library.md"} {
		checks, seen := pageChecks[page], map[string]int{}
		for _, b := range blocks(read(t, filepath.Join(root, page))) {
			if b.info == "text" {
				continue
			}
			n := seen[b.section]
			seen[b.section]++
			if n >= len(checks[b.section]) {
				t.Errorf("%s:%d: unexpected code block under %q; want a check in pageChecks, or a fence with the word text", page, b.line, b.section)
				continue
			}
			t.Run(fmt.Sprintf("%s, %s, line %d", page, b.section, b.line), func(t *testing.T) { checks[b.section][n](t, c, b.text) })
		}
		for section, list := range checks {
			if seen[section] < len(list) {
				t.Errorf("%s: unexpected number of code blocks under %q; got %d; want %d", page, section, seen[section], len(list))
			}
		}
	}
}

// make test runs this test, so that to run it here would never end.
func checkTwoCommands(t *testing.T, c *clone, text string) {
	need(t, "bash", "make", "cc", "nm")
	path, err := exec.LookPath("make")
	if err != nil {
		t.Fatal(err)
	}
	out := c.bash(t, text, program(t, "make", `if [[ $* == test ]]; then set -- -n test; fi; exec `+path+` "$@"`))
	for _, want := range []string{"\nlost 0, duplicated 0\n", " -race "} {
		if !strings.Contains(out, want) {
			t.Errorf("unexpected output; got:\n%s\nwant %q in it", out, want)
		}
	}
}

// The configuration is run as a whole, and with events, by fluentbit/internal/conftest. Here the
// command line has to name files that exist, and the block to set all that the
// configuration takes from the environment.
const fluentBitStub = `
while getopts e:c: option; do
	case $option in
	e) library=$OPTARG ;;
	c) file=$OPTARG ;;
	*) exit 2 ;;
	esac
done
for name in "$library" "$file"; do
	[[ -r $name ]] || { echo "$name is missing" >&2; exit 1; }
done
nm -D --defined-only "$library" | grep FLBPluginRegister >/dev/null
for name in $(grep -o '\${[A-Z_]*}' "$file" | tr -d '\${}'); do
	[[ -v $name ]] || { echo "$file takes $name, which is not exported" >&2; exit 1; }
done
echo 'configuration test is successful'
`

func checkFluentBit(t *testing.T, c *clone, text string) {
	need(t, "bash", "make", "cc", "nm")
	scripts := []string{fluentBitStub}
	bin := os.Getenv("FLUENT_BIT")
	if bin != "" {
		// It would ship the log files of this machine.
		scripts = append(scripts, `exec "$FLUENT_BIT" "$@" --dry-run 2>&1`)
	}
	for _, script := range scripts {
		out := c.bash(t, text, program(t, "fluent-bit", script), "FLUENT_BIT="+bin, "AWS_REGION=eu-west-1")
		if !strings.Contains(out, "configuration test is successful") {
			t.Errorf("unexpected output; got:\n%s\nwant that the configuration is good", out)
		}
	}
}

// The local Kinesis and kpl-http listen elsewhere than README.md says, because those ports
// may be taken, and another file is sent than one of the machine.
func checkSixtySeconds(t *testing.T, c *clone, text string) {
	need(t, "bash", "make", "cc", "nm", "curl")
	kinesis, listen := testkit.FreeAddress(t), testkit.FreeAddress(t)
	if conf := read(t, filepath.Join(root, "conf", "kpl-http.yaml")); !strings.Contains(conf, "  listen: 127.0.0.1:8080 ") {
		t.Error("unexpected conf/kpl-http.yaml; want that it listens where README.md says")
	}
	home := t.TempDir() // of the settings of curl
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("silent\nshow-error\nnoproxy = \"*\"\nwrite-out = \" %{http_code}\\n\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const lines = 1000
	file := filepath.Join(t.TempDir(), "a.log")
	var b bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&b, "line %d of a log\n", i)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	script := strings.NewReplacer("/var/log/dpkg.log", file, "127.0.0.1:4567", kinesis, "127.0.0.1:8080", listen,
		"build/kpl-local ", "build/kpl-local --listen "+kinesis+" ").Replace(text)
	if strings.Count(script, file) != 1 || strings.Count(script, kinesis) != 2 || strings.Count(script, listen) != 1 {
		t.Fatalf("unexpected block; got:\n%s\nwant one log file, the local Kinesis twice, and kpl-http", text)
	}
	const end = "\nkill $(jobs -p)\nwait\n"
	out := c.bash(t, "set -m\n"+script+end, "CURL_HOME="+home, "KPL_HTTP_SERVER_LISTEN="+listen, "KPL_HTTP_SERVER_ADMIN_LISTEN=off")
	for _, want := range []string{" 200\n", "line 0 of a log", "line 4 of a log", fmt.Sprintf(" %d ", lines)} {
		if !strings.Contains(out, want) {
			t.Errorf("unexpected output; got:\n%s\nwant %q in it", out, want)
		}
	}
	if strings.Contains(out, "line 5 of a log") {
		t.Errorf("unexpected output; got:\n%s\nwant five lines", out)
	}
	c.wantBuilt(t, text)
	// What it wrote is there for the next start, as the text says.
	again := regexp.MustCompile(`(?m)^build/kpl-local .*$`).FindString(script)
	stats := regexp.MustCompile(`(?m)^build/kplcat --stats.*$`).FindString(script)
	exports := regexp.MustCompile(`(?m)^export .*$`).FindAllString(script, -1)
	out = c.bash(t, strings.Join(exports, "\n")+"\nset -m\n"+again+"\nuntil curl -s -o /dev/null http://"+kinesis+"/; do sleep 0.1; done\n"+stats+end, "CURL_HOME="+home)
	if !strings.Contains(out, fmt.Sprintf(" %d ", lines)) {
		t.Errorf("unexpected output after another start; got:\n%s\nwant %d user records", out, lines)
	}
}

// The environment is that of the block before it.
func checkSmallHost(t *testing.T, c *clone, text string) {
	need(t, "bash", "make", "cc", "nm")
	k := startKinesis(t)
	file := filepath.Join(t.TempDir(), "a.log")
	if err := os.WriteFile(file, []byte("first\nsecond\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := strings.ReplaceAll(text, "/var/log/dpkg.log", file)
	if script == text {
		t.Fatalf("unexpected block; got:\n%s\nwant one with a log file", text)
	}
	out := c.bash(t, script, "AWS_REGION=eu-west-1", "AWS_ENDPOINT_URL_KINESIS="+k.URL())
	if got := k.Consume("logs").Records; len(got) != 2 || !strings.Contains(string(got[0].Data), "first") {
		t.Errorf("unexpected records; got %d; want the two lines; output:\n%s", len(got), out)
	}
	c.wantBuilt(t, text)
}

func checkGoGet(t *testing.T, c *clone, text string) {
	list := c.command(t, []string{"GOFLAGS=-mod=mod"}, "go", "list", strings.TrimPrefix(strings.TrimSpace(text), "go get "))
	out, err := list.Output()
	if err != nil || strings.TrimSpace(text) != "go get "+strings.TrimSpace(string(out)) {
		t.Errorf("unexpected command %q; got %q (%v); want a package of this module", text, out, err)
	}
}

// wrapper is the program around the lines for Go.
const wrapper = `package main

import (
	"context"
	"fmt"
	"os"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
)

func put(ctx context.Context, line []byte) error {
%s
	fmt.Print(result.ShardID, " ", result.SequenceNumber)
	return err
}

func main() {
	if err := put(context.Background(), []byte("a line")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
`

func checkLibrary(t *testing.T, c *clone, text string) {
	k := startKinesis(t)
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, fmt.Appendf(nil, wrapper, text), 0o600); err != nil {
		t.Fatal(err)
	}
	// Without cgo, for which make programs has compiled everything.
	cmd := c.command(t, []string{"AWS_ENDPOINT_URL_KINESIS=" + k.URL(), "CGO_ENABLED=0"}, "go", "run", file)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("unexpected end of the program: %v\n%s", err, errs.Bytes())
	}
	got := k.Records("logs")
	if len(got) != 1 {
		t.Fatalf("unexpected number of records in the stream; got %d; want 1", len(got))
	}
	r := got[0]
	if string(r.Data) != "a line" || r.PartitionKey != "pod-1" || out.String() != r.ShardID+" "+r.SequenceNumber {
		t.Errorf("unexpected record; got %+v and result %q; want the line under its key, in the shard and with the number of the result", r, out.String())
	}
}
