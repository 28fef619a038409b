// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/vector/internal/config"
)

func TestManualHasEveryOption(t *testing.T) {
	var out, errs bytes.Buffer
	if code := Main(context.Background(), []string{"manual"}, nil, &out, &errs); code != exitOK {
		t.Fatalf("unexpected exit code; got %d; %s", code, errs.String())
	}
	for _, o := range config.Options() {
		if !strings.Contains(out.String(), "\n  "+o.Name) {
			t.Errorf("the manual does not have %s", o.Name)
		}
	}
	for _, c := range commands {
		if !strings.Contains(out.String(), "kpl-http "+c.Name) && c.Name != "run" && c.Name != "help" {
			t.Errorf("the manual does not have the command %s", c.Name)
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range option.Shells() {
		var out, errs bytes.Buffer
		if code := Main(context.Background(), []string{"completion", shell}, nil, &out, &errs); code != exitOK || !strings.Contains(out.String(), "server.listen") {
			t.Errorf("unexpected completion for %s; got exit code %d, %d bytes", shell, code, out.Len())
		}
	}
	for _, args := range [][]string{{"completion"}, {"completion", "cmd"}} {
		var out, errs bytes.Buffer
		if code := Main(context.Background(), args, nil, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), "bash, zsh or fish") {
			t.Errorf("unexpected result of %q; got %d, %q", args, code, errs.String())
		}
	}
}

// The script is run by the shell that it is for.
func TestBashCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("NOT TESTED: completion in bash, which is not here")
	}
	for line, want := range map[string]string{
		"kpl-http che":             "check",
		"kpl-http run --server.li": "--server.listen=",
		"kpl-http completion z":    "zsh",
	} {
		words := strings.Fields(line)
		script := shellProgram().Completion("bash") + "\nCOMP_WORDS=(" + strings.Join(words, " ") + ") COMP_CWORD=" + string(rune('0'+len(words)-1)) +
			"\n_kpl_http\necho \"${COMPREPLY[*]}\""
		out, err := exec.Command(bash, "-c", script).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("unexpected completion of %q; got %q (%v); want %q", line, got, err, want)
		}
	}
}
