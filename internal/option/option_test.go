// SPDX-License-Identifier: Apache-2.0

package option

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

type probe struct {
	on         bool
	off        Not
	n          int
	size       int64
	wait       time.Duration
	word, text string
	list       []string
	keys       []string
}

func table() []Option[probe] {
	return []Option[probe]{
		{Spec: Spec{Name: "on", Kind: Bool, Default: "true"}, Field: func(p *probe) any { return &p.on }},
		{Spec: Spec{Name: "verify", Opposites: []string{"skip_verify"}, Kind: Bool, Default: "true"}, Field: func(p *probe) any { return &p.off }},
		{Spec: Spec{Name: "n", Aliases: []string{"number"}, Kind: Int, Min: 1, Max: 9, ZeroMeans: "none", Arg: "N", Hints: []string{"count"}}, Field: func(p *probe) any { return &p.n }},
		{Spec: Spec{Name: "size", Kind: Size, Min: 1000, Max: 2_000_000, Default: "1000"}, Field: func(p *probe) any { return &p.size }},
		{Spec: Spec{Name: "wait", Kind: Duration, Min: int64(time.Second), Arg: "DURATION"}, Field: func(p *probe) any { return &p.wait }},
		{Spec: Spec{Name: "word", Enum: []string{"off", "warn", "require"}, Off: "off", On: "warn", Renamed: map[string]string{"fail": "require"}, Arg: "WORD"}, Field: func(p *probe) any { return &p.word }},
		{Spec: Spec{Name: "text", Secret: true, Check: func(s string) error {
			if s == "bad" {
				return errors.New("not good")
			}
			return nil
		}}, Field: func(p *probe) any { return &p.text }},
		{Spec: Spec{Name: "list", Kind: List, Form: "names"}, Field: func(p *probe) any { return &p.list }},
		{Spec: Spec{Name: "key", Many: true, Arg: "KEY"}, Parse: func(p *probe, v string) error {
			p.keys = append(p.keys, v)
			return nil
		}},
		{Spec: Spec{Name: "stats", Optional: true, Words: []string{"table", "json"}, Arg: "FORM"}, Parse: func(p *probe, v string) error {
			p.keys = append(p.keys, "stats="+v)
			return nil
		}},
	}
}

func TestProblemsHaveOneForm(t *testing.T) {
	for _, c := range []struct {
		g                 *Grammar
		name, value, want string
	}{
		{Plain, "on", "yes", `on: "yes": not a boolean; allowed: true or false`},
		{FluentBit, "on", "1", `on: "1": not a boolean; allowed: true, on, yes, false, off or no`},
		{Plain, "n", "10", `n: "10": out of range; allowed: 1 to 9; 0: none`},
		{Plain, "number", "x", `number: "x": not a whole number; allowed: 1 to 9; 0: none`},
		{Plain, "size", "1B", `size: "1B": out of range; allowed: 1000 to 2000000`},
		{FluentBit, "size", "3M", `size: "3M": out of range; allowed: 1000 to 2M`},
		{Plain, "wait", "5", `wait: "5": not a duration such as 250ms, 9s or 2m; allowed: 1s and more`},
		{FluentBit, "wait", "1.5s", `wait: "1.5s": not a whole number with ms, s, m, h or d, such as 500ms or 4s; a plain number is seconds; allowed: 1s and more`},
		{Plain, "word", "requires", `word: "requires": not one of the allowed words; allowed: off, warn or require; did you mean require?`},
		{Plain, "text", "bad", `text: "...": not good`},
		{FluentBit, "list", "a,,b", `list: "a,,b": a name is empty; want names separated by single commas; allowed: names`},
	} {
		options := table()
		var p probe
		for i := range options {
			if o := &options[i]; o.Is(c.name) {
				if _, problem := o.Set(c.g, &p, c.name, c.value, nil); problem == nil || problem.Error() != c.want {
					t.Errorf("unexpected problem; got %v; want %s", problem, c.want)
				}
			}
		}
	}
	p := Wrong("proxy", "http://u:hush@h", "bad", "")
	if p.Place = "f:1:2"; p.Error() != `f:1:2: proxy: "http://...@h": bad` {
		t.Errorf("unexpected problem; got %s", p)
	}
}

func TestAutoStandsForANumberWhereItIsAllowed(t *testing.T) {
	o := Option[probe]{
		Spec:  Spec{Name: "wait", Kind: Duration, Min: int64(time.Second), Max: int64(time.Minute), ZeroMeans: "none", AutoMeans: "as needed"},
		Field: func(p *probe) any { return &p.wait },
	}
	for _, c := range []struct {
		g     *Grammar
		value string
		want  time.Duration
		shown string
	}{
		{Plain, "auto", Auto, "auto"}, {FluentBit, "AUTO", Auto, "auto"}, {Plain, "0", 0, "0s"}, {Plain, "2s", 2 * time.Second, "2s"},
	} {
		var p probe
		if _, problem := o.Set(c.g, &p, "wait", c.value, nil); problem != nil || p.wait != c.want || o.Get(c.g, &p.wait) != c.shown {
			t.Errorf("unexpected outcome of %q; got %v, shown as %s, %v; want %v, %s", c.value, p.wait, o.Get(c.g, &p.wait), problem, c.want, c.shown)
		}
	}
	for _, value := range []string{"AUTO", "-1ns", "automatic"} {
		var p probe
		if _, problem := o.Set(Plain, &p, "wait", value, nil); problem == nil || problem.Allowed != "1s to 1m; 0: none; auto: as needed" {
			t.Errorf("unexpected problem of %q: %v", value, problem)
		}
	}
	var p probe
	if o.AutoMeans = ""; true {
		if _, problem := o.Set(Plain, &p, "wait", "auto", nil); problem == nil {
			t.Error("unexpected success of auto where it is not allowed")
		}
	}
}

func TestAliasesSetTheOptionAndSaySo(t *testing.T) {
	for _, c := range []struct {
		g                 *Grammar
		name, value, note string
		want              string
	}{
		{Plain, "n", "3", "", "n 3"},
		{Plain, "number", "3", "is an alias of n; write n", "n 3"},
		{Plain, "verify", "false", "", "off true"},
		{Plain, "skip_verify", "true", "is the opposite of verify; write verify", "off true"},
		{FluentBit, "skip_verify", "No", "is the opposite of verify; write verify", "off false"},
		{Plain, "word", "fail", "the word fail is called require now", "word require"},
		{FluentBit, "word", "Yes", "", "word warn"},
		{FluentBit, "word", "off", "", "word off"},
		{FluentBit, "size", "2m", "", "size 2000000"},
		{Plain, "size", "64 KiB", "", "size 65536"},
		{FluentBit, "wait", "2", "", "wait 2s"},
		{Plain, "wait", "1m30s", "", "wait 1m30s"},
		{Plain, "list", "a, b", "", "list [a b]"},
	} {
		options := table()
		var p probe
		for i := range options {
			o := &options[i]
			if !o.Is(c.name) {
				continue
			}
			note, problem := o.Set(c.g, &p, c.name, c.value, nil)
			got := map[string]string{
				"n": fmt.Sprint("n ", p.n), "verify": fmt.Sprint("off ", p.off), "word": "word " + p.word, "size": fmt.Sprint("size ", p.size),
				"wait": fmt.Sprint("wait ", p.wait), "list": fmt.Sprint("list ", p.list),
			}[o.Name]
			if problem != nil || note != c.note || got != c.want {
				t.Errorf("unexpected outcome of %s %q; got %s, %q, %v; want %s, %q", c.name, c.value, got, note, problem, c.want, c.note)
			}
		}
	}
}

func TestArgumentsAreReadInAnyOrder(t *testing.T) {
	var p probe
	given, rest, problems := ReadArgs(table(), []string{"a", "--n=3", "-wait", "2s", "--key", "-1h", "b", "--key=x", "--stats", "--verify=false", "--", "--n"}, &p)
	if len(problems) > 0 || strings.Join(rest, " ") != "a b --n" || p.n != 3 || p.wait != 2*time.Second || strings.Join(p.keys, " ") != "-1h x stats=table" || !bool(p.off) || !p.on || p.size != 1000 {
		t.Errorf("unexpected outcome; got %+v, %q, %v", p, rest, problems)
	}
	if !given.Has("n") || given.Has("size") || given.Has("verify") {
		t.Errorf("unexpected flags; got %v; want n and not size, which is a default, nor verify, which is off", given)
	}
	_, _, problems = ReadArgs(table(), []string{"--nn", "--on=maybe", "--zzzzzz", "--count", "--n=1", "--n=2", "--word"}, &p)
	want := []string{
		"--nn: no such flag; did you mean --n?", `--on: "maybe": not a boolean; allowed: true or false`, "--zzzzzz: no such flag", "--count: no such flag; did you mean --n?",
		`--n: "2": given again; allowed: once`, "--word: needs a value; allowed: --word WORD",
	}
	if got := fmt.Sprint(errors.Join(problems...)); got != strings.Join(want, "\n") {
		t.Errorf("unexpected problems; got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// What is written is read again as the same, in both grammars.
func TestAFlagUnderTwoNamesIsRefused(t *testing.T) {
	for args, want := range map[string]string{
		"--n=1 --number=2":              "--number: given under two names, with --n; allowed: one of them",
		"--number 1 --n 1":              "--n: given under two names, with --number; allowed: one of them",
		"--verify --skip_verify":        "--skip_verify: given under two names, with --verify; allowed: one of them",
		"--skip_verify --verify=false":  "--verify: given under two names, with --skip_verify; allowed: one of them",
		"--verify --sure=false":         "--sure: given under two names, with --verify; allowed: one of them",
		"--verify --sure":               "",
		"--verify --verify=false --on":  "",
		"--key a --word=off --clef b":   "",
		"--skip_verify --skip_verify":   "",
		"--n=1 --n=2":                   `--n: "2": given again; allowed: once`,
		"--number=1 --n=2 --number=bad": "--n: given under two names, with --number; allowed: one of them",
	} {
		options := table()
		With(options, Spec{Name: "verify", Aliases: []string{"sure"}}, Spec{Name: "key", Aliases: []string{"clef"}})
		_, _, problems := ReadArgs(options, strings.Fields(args), &probe{})
		got := ""
		if len(problems) > 0 {
			got = problems[0].Error()
		}
		if got != want {
			t.Errorf("unexpected problem of %s; got %q; want %q", args, got, want)
		}
	}
}

func TestNumbersAreWrittenAsTheyAreRead(t *testing.T) {
	for _, g := range []*Grammar{Plain, FluentBit} {
		for _, n := range []int64{0, 1, 1000, 1024, 51200, 1e6, 1 << 20, 64e6, 1e9, 1 << 30, 1e12} {
			if got, err := g.size(g.FormatSize(n)); err != nil || got != n {
				t.Errorf("unexpected size; got %d, %v; want %d", got, err, n)
			}
		}
		for _, d := range []time.Duration{0, time.Millisecond, 10 * time.Second, time.Minute, 10 * time.Minute, 20 * time.Hour} {
			if got, err := g.ParseDuration(FormatDuration(d)); err != nil || got != d {
				t.Errorf("unexpected duration; got %s, %v; want %s", got, err, d)
			}
		}
	}
}

// The script is run by the shell that it is for.
func TestBashCompletesFlagsWordsAndCommands(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("NOT TESTED: completion in bash, which is not here")
	}
	p := Program{Name: "a-b", Use: "a-b --completion", Flags: Specs(table()), Commands: []Spec{{Name: "shell", Doc: "Print it.", Words: Shells()}, {Name: "serve"}}}
	joined := p
	joined.Joined = true
	for _, c := range []struct {
		p          *Program
		line, want string
	}{
		{&p, "a-b se", "serve"},
		{&p, "a-b shell z", "zsh"},
		{&p, "a-b x --si", "--size"},
		{&joined, "a-b x --si", "--size="},
		{&p, "a-b x --word w", "warn"},
		{&joined, "a-b x --word = w", "warn"},
		{&joined, "a-b x --word =", "off warn require"},
		{&p, "a-b x --stats=j", "--stats=json"},
	} {
		words := strings.Fields(c.line)
		script := c.p.Completion("bash") + "\nCOMP_WORDS=(" + c.line + ") COMP_CWORD=" + fmt.Sprint(len(words)-1) + "\n_a_b\necho \"${COMPREPLY[*]}\""
		out, err := exec.Command(bash, "-c", script).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("unexpected completion of %q; got %q (%v); want %q", c.line, got, err, c.want)
		}
	}
	if got := p.Completion("csh"); got != "" {
		t.Errorf("unexpected completion for csh; got %q", got)
	}
}
