// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func read(t *testing.T, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{root}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
	var list []string
	for _, path := range found {
		rel, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		// What ./try and make have fetched and built is not of the project: a whole Go, for instance.
		if dir, _, _ := strings.Cut(filepath.ToSlash(rel), "/"); dir != ".cache" && dir != "build" {
			list = append(list, rel)
		}
	}
	if err != nil || len(list) == 0 {
		t.Fatalf("no file is like %s (%v)", pattern, err)
	}
	return list
}

// instruction is a line of a Dockerfile: its word, its options and the rest.
type instruction struct {
	line    int
	word    string
	options map[string]string
	args    []string
}

// dockerfile reads instructions; lines that end with \ go on.
func dockerfile(text string) (list []instruction) {
	var whole string
	start := 0
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if whole == "" {
			start = i + 1
		}
		more := strings.HasSuffix(line, `\`)
		if whole += strings.TrimSuffix(line, `\`) + " "; more {
			continue
		}
		words := strings.Fields(whole)
		in := instruction{line: start, word: words[0], options: map[string]string{}}
		for _, w := range words[1:] {
			if k, v, ok := strings.Cut(strings.TrimPrefix(w, "--"), "="); ok && strings.HasPrefix(w, "--") && in.args == nil {
				in.options[k] = v
			} else {
				in.args = append(in.args, w)
			}
		}
		list = append(list, in)
		whole = ""
	}
	return list
}

// dockerProblems says what is wrong with a Dockerfile; exists tells which files of the
// repository there are.
func dockerProblems(text, goVersion string, exists func(string) bool) (problems []string) {
	bad := func(in instruction, format string, args ...any) {
		problems = append(problems, fmt.Sprintf("line %d: ", in.line)+fmt.Sprintf(format, args...))
	}
	stages := []string{}
	var base, user, entry string
	var last instruction
	end := func() {
		if base == "" || strings.HasPrefix(base, "golang:") {
			return // nobody runs a stage that builds
		}
		if uid, _, _ := strings.Cut(user, ":"); uid == "" || uid == "0" || strings.Trim(uid, "0123456789") != "" {
			bad(last, "the stage from %s runs as %q; want a number other than 0", base, user)
		}
		if entry == "" {
			bad(last, "the stage from %s starts nothing", base)
		}
	}
	for _, in := range dockerfile(text) {
		switch in.word {
		case "FROM":
			end()
			base, user, entry = in.args[0], "", ""
			stage := ""
			if len(in.args) == 3 && in.args[1] == "AS" {
				stage = in.args[2]
			}
			stages = append(stages, stage)
			if base != "scratch" && !regexp.MustCompile(`^[a-z0-9./-]+:v?\d+\.\d+\.\d+[a-z0-9.-]*$`).MatchString(base) {
				bad(in, "unexpected base %s; want a version with three numbers", base)
			}
			if v, ok := strings.CutPrefix(base, "golang:"); ok && !strings.HasPrefix(v, goVersion+"-") {
				bad(in, "unexpected base %s; want Go %s as in go.mod", base, goVersion)
			}
		case "COPY":
			if from := in.options["from"]; from != "" {
				if !slices.Contains(stages, from) {
					bad(in, "no stage %s", from)
				}
				break
			}
			for _, src := range in.args[:len(in.args)-1] {
				if !exists(src) {
					bad(in, "no file %s", src)
				}
			}
		case "USER":
			user = in.args[0]
		case "ENTRYPOINT", "CMD":
			entry = in.args[0]
			if !strings.HasPrefix(entry, "[") {
				bad(in, "%s is run by a shell, which hides signals from the program", in.word)
			}
		case "ADD":
			bad(in, "ADD does more than COPY")
		}
		last = in
	}
	end()
	return problems
}

// goVersion is that of the toolchain which builds everything: images, releases and what ./try fetches.
func goVersion(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^toolchain go(\d+\.\d+\.\d+)$`).FindStringSubmatch(read(t, "go.mod"))
	if m == nil {
		t.Fatal("no toolchain in go.mod")
	}
	return m[1]
}

func TestDockerfiles(t *testing.T) {
	exists := func(path string) bool {
		_, err := os.Stat(filepath.Join(root, path))
		return err == nil
	}
	for _, path := range glob(t, "docker/Dockerfile.*") {
		for _, p := range dockerProblems(read(t, path), goVersion(t), exists) {
			t.Errorf("%s: %s", path, p)
		}
	}
}

// What is not noticed in a broken Dockerfile would not be noticed in ours.
func TestBrokenDockerfilesAreNoticed(t *testing.T) {
	const good = "FROM golang:1.26.8-bookworm AS build\nCOPY go.mod .\nFROM scratch\nCOPY --from=build /a /a\nUSER 65532:65532\nENTRYPOINT [\"/a\"]\n"
	exists := func(path string) bool { return path == "go.mod" }
	if got := dockerProblems(good, "1.26.8", exists); len(got) != 0 {
		t.Fatalf("unexpected problems; got %v", got)
	}
	for old, broken := range map[string]string{
		"golang:1.26.8-bookworm": "golang:latest", "1.26.8": "1.26.7", "COPY go.mod .": "COPY nothing .", "--from=build": "--from=biuld",
		"USER 65532:65532\n": "USER root\n", "USER 65532": "USER 0", "ENTRYPOINT [\"/a\"]": "ENTRYPOINT /a", "ENTRYPOINT": "LABEL", "COPY --from": "ADD --from",
	} {
		text := strings.Replace(good, old, broken, 1)
		if text == good || len(dockerProblems(text, "1.26.8", exists)) == 0 {
			t.Errorf("%q instead of %q was not noticed", broken, old)
		}
	}
}

// One version of Fluent Bit everywhere: the one that is tested.
func TestVersionsOfFluentBitAgree(t *testing.T) {
	want := "fluent/fluent-bit:5.1.1"
	for _, path := range []string{"docker/Dockerfile.fluent-bit", "conf/kubernetes/fluent-bit/fluent-bit.yaml"} {
		if text := read(t, path); strings.Count(text, "fluent/fluent-bit:") != 1 || !strings.Contains(text, want) {
			t.Errorf("%s: unexpected image; want %s once", path, want)
		}
	}
	if !strings.Contains(read(t, "conf", "helm", "fluent-bit-values.yaml"), "Fluent Bit 5.1.1") {
		t.Error("conf/helm/fluent-bit-values.yaml is for another version")
	}
}
