// SPDX-License-Identifier: Apache-2.0

package docscheck

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// readmeChecks are the checks of the code blocks of README.md, by section and in order.
var readmeChecks = map[string][]func(*testing.T, *clone, string){
	"Two commands":        {checkTwoCommands},
	"Start in 60 seconds": {checkStart, checkConfiguration},
	"The same over HTTP":  {checkHTTP},
	"IAM":                 {checkPolicy},
	"As a Go library":     {checkLibrary},
}

// Each code block of README.md does what it says, from top to bottom as for a reader.
// One that is not to be run (a picture, the output of something) is fenced as text.
func TestCodeBlocksOfReadmeWork(t *testing.T) {
	c := newClone(t)
	seen := map[string]int{}
	for _, b := range blocks(read(t, filepath.Join(root, "README.md"))) {
		if b.info == "text" {
			continue
		}
		n := seen[b.section]
		seen[b.section]++
		if n >= len(readmeChecks[b.section]) {
			t.Errorf("README.md:%d: unexpected code block under %q; want a check in readmeChecks, or a fence with the word text", b.line, b.section)
			continue
		}
		t.Run(fmt.Sprintf("%s, line %d", b.section, b.line), func(t *testing.T) { readmeChecks[b.section][n](t, c, b.text) })
	}
	for section, list := range readmeChecks {
		if seen[section] < len(list) {
			t.Errorf("README.md: unexpected number of code blocks under %q; got %d; want %d", section, seen[section], len(list))
		}
	}
}

// make test runs this test, so that to run it here would never end.
func checkTwoCommands(t *testing.T, c *clone, text string) {
	need(t, "bash", "make", "cc", "nm")
	out := c.bash(t, `make() { if [[ $* == test ]]; then command make -n test; else command make "$@"; fi; }`+"\n"+text)
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

func checkStart(t *testing.T, c *clone, text string) {
	need(t, "bash", "make", "cc", "nm")
	scripts := []string{fluentBitStub}
	bin := os.Getenv("FLUENT_BIT")
	if bin != "" {
		// It would ship the log files of this machine.
		scripts = append(scripts, `exec "$FLUENT_BIT" "$@" --dry-run 2>&1`)
	}
	for _, script := range scripts {
		out := c.bash(t, text, program(t, "fluent-bit", script), "FLUENT_BIT="+bin)
		if !strings.Contains(out, "configuration test is successful") {
			t.Errorf("unexpected output; got:\n%s\nwant that the configuration is good", out)
		}
	}
	c.wantBuilt(t, text)
}

func checkConfiguration(t *testing.T, _ *clone, text string) {
	comments := regexp.MustCompile(`(?m)^ *#.*\n`)
	want := comments.ReplaceAllString(read(t, filepath.Join(root, "conf", "fluent-bit.conf")), "")
	if strings.TrimSpace(text) != strings.TrimSpace(want) {
		t.Errorf("unexpected configuration; got:\n%s\nwant conf/fluent-bit.conf without its comments:\n%s", text, want)
	}
}

// The server listens elsewhere than README.md says, because that port may be taken, and
// writes into another Kinesis.
func checkHTTP(t *testing.T, c *clone, text string) {
	need(t, "bash", "make", "cc", "nm", "curl")
	parts := regexp.MustCompile(`(?m)^.* --config .*$`).FindStringIndex(text)
	address := regexp.MustCompile(`http://([\d.:]+)/`).FindStringSubmatch(text)
	if parts == nil || address == nil {
		t.Fatalf("unexpected block; got:\n%s\nwant a line that starts the server and one that sends events", text)
	}
	before, server, after := text[:parts[0]], text[parts[0]:parts[1]], text[parts[1]:]
	if conf := read(t, filepath.Join(root, "conf", "kpl-http.yaml")); !strings.Contains(conf, "  listen: "+address[1]+" ") {
		t.Errorf("unexpected address %s; want that of conf/kpl-http.yaml", address[1])
	}
	k := startKinesis(t)
	env := []string{"KPL_HTTP_AWS_ENDPOINT=" + k.URL(), "KPL_HTTP_SERVER_LISTEN=127.0.0.1:0", "KPL_HTTP_SERVER_ADMIN_LISTEN=off"}
	c.bash(t, before, env...)
	c.wantBuilt(t, text)

	cmd := c.command(t, env, "bash", "-c", "exec "+server)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	var log bytes.Buffer
	listen := ""
	lines := bufio.NewScanner(stderr)
	for listen == "" && lines.Scan() {
		log.WriteString(lines.Text() + "\n")
		if m := regexp.MustCompile(`msg=serving listen=(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			listen = m[1]
		}
	}
	if listen == "" {
		t.Fatalf("the server did not start: %v\n%s", cmd.Wait(), log.Bytes())
	}
	ended := make(chan struct{})
	go func() { // ends with the server
		defer close(ended)
		for lines.Scan() {
			log.WriteString(lines.Text() + "\n")
		}
	}()

	const events = "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n"
	if err := os.WriteFile(filepath.Join(c.dir, "events.ndjson"), []byte(events), 0o600); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir() // of the settings of curl
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("silent\nshow-error\nnoproxy = \"*\"\nwrite-out = \" %{http_code}\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := c.bash(t, strings.ReplaceAll(after, address[1], listen), "CURL_HOME="+home)
	if !strings.HasSuffix(out, " 200") {
		t.Errorf("unexpected answer; got %s; want status 200", out)
	}
	got := map[string]int{}
	for _, r := range k.Consume("logs").Records {
		got[string(r.Data)]++
	}
	if want := map[string]int{`{"n":1}`: 1, `{"n":2}`: 1, `{"n":3}`: 1}; !reflect.DeepEqual(got, want) {
		t.Errorf("unexpected events behind the answer; got %v; want %v", got, want)
	}

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ended
	if err := cmd.Wait(); err != nil {
		t.Errorf("unexpected end of the server; got %v; want exit code 0\n%s", err, log.Bytes())
	}
}

// Of conf/iam, which internal/shipcheck looks at, the name and the condition are left out.
func checkPolicy(t *testing.T, _ *clone, text string) {
	type policy struct {
		Version   string
		Statement []struct {
			Effect   string
			Action   any
			Resource string
		}
	}
	var got, want policy
	d := json.NewDecoder(strings.NewReader(strings.NewReplacer("REGION", "eu-west-1", "ACCOUNT", "123456789012", "stream/NAME", "stream/logs",
		"key/ID", "key/11111111-2222-3333-4444-555555555555").Replace(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("cannot read the policy: %v", err)
	}
	if d.More() {
		t.Error("unexpected text behind the policy; want none")
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(root, "conf", "iam", "producer.json"))), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("unexpected policy; got %v; want that of conf/iam/producer.json: %v", got, want)
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
