// SPDX-License-Identifier: Apache-2.0

package schemacheck

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// What a RUN of ours starts, and what it may set for one command.
var (
	dockerCommands  = []string{"apt-get", "rm", "python3", "/zig/bin/pip", "go mod", "go run", "go build", "mv"}
	dockerVariables = []string{"CGO_ENABLED", "GOOS", "GOARCH"}
	shellVariable   = regexp.MustCompile(`\$\{?([A-Za-z_]\w*)`)
)

// A file of the image that a stage builds in, which nothing here makes.
const authorities = "/etc/ssl/certs/ca-certificates.crt"

// stage is what is known of a stage of a Dockerfile so far.
type stage struct {
	args []string
	made map[string]bool
}

// run looks at the commands of one RUN: they are known, their variables are declared, and
// what is moved was written below a folder that the RUN named with -out before.
func (s *stage) run(text string, bad func(string, ...any)) {
	for _, m := range shellVariable.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(s.args, m[1]) {
			bad("no ARG %s", m[1])
		}
	}
	var out []string
	for command := range strings.SplitSeq(text, "&&") {
		words := strings.Fields(strings.NewReplacer(`"`, "", `\`, "").Replace(command))
		for len(words) > 0 && strings.Contains(words[0], "=") {
			name, _, _ := strings.Cut(words[0], "=")
			if !slices.Contains(dockerVariables, name) {
				bad("unexpected variable %s", name)
			}
			words = words[1:]
		}
		if len(words) < 2 || !slices.Contains(dockerCommands, words[0]) && !slices.Contains(dockerCommands, words[0]+" "+words[1]) {
			bad("unexpected command %q", words)
			continue
		}
		for i, w := range words[:len(words)-1] {
			switch w {
			case "-out":
				out = append(out, words[i+1])
			case "-o":
				s.made[words[i+1]] = true
			}
		}
		if words[0] != "mv" {
			continue
		}
		if from := words[1]; len(words) != 3 || !slices.ContainsFunc(out, func(dir string) bool { return filepath.Dir(from) == dir }) {
			bad("nothing was written to %s", from)
		}
		s.made[words[len(words)-1]] = true
	}
}

// dockerfileProblems reads a Dockerfile with the parser of BuildKit, which knows every
// instruction and option, and follows the files from one stage to the next.
func dockerfileProblems(text string) (problems []string) {
	res, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		return []string{err.Error()}
	}
	list, _, err := instructions.Parse(res.AST, nil)
	if err != nil {
		return []string{err.Error()}
	}
	stages := map[string]*stage{}
	for i, st := range list {
		bad := func(format string, args ...any) {
			problems = append(problems, fmt.Sprintf("stage %d %s: ", i+1, st.Name)+fmt.Sprintf(format, args...))
		}
		s := &stage{made: map[string]bool{authorities: strings.HasPrefix(st.BaseName, "golang:")}}
		for _, c := range st.Commands {
			switch c := c.(type) {
			case *instructions.ArgCommand:
				for _, a := range c.Args {
					s.args = append(s.args, a.Key)
				}
			case *instructions.RunCommand:
				s.run(strings.Join(c.CmdLine, " "), bad)
			case *instructions.CopyCommand:
				if c.From == "" {
					break // internal/shipcheck looks for the files
				}
				from := stages[c.From]
				if from == nil {
					bad("no stage %s", c.From)
					break
				}
				for _, path := range c.SourcePaths {
					if !from.made[path] {
						bad("%s is not made in stage %s", path, c.From)
					}
				}
			}
		}
		stages[st.Name] = s
	}
	return problems
}

func TestDockerfiles(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "docker", "Dockerfile.*"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no files", err)
	}
	for _, path := range paths {
		for _, p := range dockerfileProblems(string(file(t, path))) {
			t.Errorf("%s: %s", path, p)
		}
	}
}

func TestBrokenDockerfilesAreNoticed(t *testing.T) {
	good := string(file(t, root, "docker", "Dockerfile.kpl-http"))
	for old, broken := range map[string]string{
		"COPY LICENSE": "COPPY LICENSE", "FROM scratch AS kplcat": "FORM scratch AS kplcat", "RUN go": "RUM go", "ARG TARGETARCH": "ARG ARCH", "AS build": "AS built",
		"--from=build": "--form=build", `mv "/out`: `mv "/oud`, "/out/kplcat/kplcat /": "/out/kplcat/kplcatt /", "go mod": "go mood", "USER 65532:65532": "USER",
	} {
		text := strings.Replace(good, old, broken, 1)
		if text == good || len(dockerfileProblems(text)) == 0 {
			t.Errorf("%q instead of %q was not noticed", broken, old)
		}
	}
}
