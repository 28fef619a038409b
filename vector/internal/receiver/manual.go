// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"fmt"
	"strings"

	"github.com/outkpl/outkpl/vector/internal/config"
)

// commands are what the first argument can be.
var commands = []string{"run", "check", "print-config", "schema", "options", "metrics", "manual", "completion", "version", "help"}

var shells = []string{"bash", "zsh", "fish"}

// manual is the usage with every option, for reading in a terminal.
func manual() string {
	var b strings.Builder
	b.WriteString(usage)
	b.WriteString("\nOptions:\n")
	for _, o := range config.Options() {
		fmt.Fprintf(&b, "\n  %s", o.Key)
		if o.Default != "" {
			fmt.Fprintf(&b, " (%s)", o.Default)
		}
		for line := range wrapped(o.Doc, 74) {
			b.WriteString("\n      " + line)
		}
		b.WriteString("\n")
	}
	b.WriteString(`
Exit codes:
  0  done; for run: everything was delivered
  1  something failed, or not everything was delivered
  2  the command line or the configuration is wrong
`)
	return b.String()
}

// wrapped breaks text at blanks.
func wrapped(text string, width int) func(func(string) bool) {
	return func(yield func(string) bool) {
		line := ""
		for _, word := range strings.Fields(text) {
			if line != "" && len(line)+1+len(word) > width {
				if !yield(line) {
					return
				}
				line = ""
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		yield(line)
	}
}

// flags lists the options that can be flags, with the dashes.
func flags() []string {
	list := []string{"--config"}
	for _, o := range config.Options() {
		if !strings.Contains(o.Key, "[") { // entries of routes are in the file only
			list = append(list, "--"+o.Key+"=")
		}
	}
	return list
}

// completion returns a script for a shell, or "" for a shell that is not known.
func completion(shell string) string {
	words, flags := strings.Join(commands, " "), strings.Join(flags(), " ")
	bash := fmt.Sprintf(`_kpl_http() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    if [[ $prev == completion ]]; then
        COMPREPLY=($(compgen -W %q -- "$cur"))
    elif [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W %q -- "$cur"))
        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    elif [[ $COMP_CWORD == 1 ]]; then
        COMPREPLY=($(compgen -W %q -- "$cur"))
    else
        COMPREPLY=($(compgen -f -- "$cur"))
    fi
}
complete -F _kpl_http kpl-http
`, strings.Join(shells, " "), flags, words)
	switch shell {
	case "bash":
		return "# bash completion of kpl-http; use: source <(kpl-http completion bash)\n" + bash
	case "zsh":
		return "# zsh completion of kpl-http; use: source <(kpl-http completion zsh)\nautoload -Uz bashcompinit && bashcompinit\n" + bash
	case "fish":
		var b strings.Builder
		b.WriteString("# fish completion of kpl-http; use: kpl-http completion fish | source\n")
		fmt.Fprintf(&b, "complete -c kpl-http -n __fish_use_subcommand -f -a '%s'\n", words)
		fmt.Fprintf(&b, "complete -c kpl-http -n '__fish_seen_subcommand_from completion' -f -a '%s'\n", strings.Join(shells, " "))
		for _, o := range config.Options() {
			if !strings.Contains(o.Key, "[") {
				fmt.Fprintf(&b, "complete -c kpl-http -l %s -r -d '%s'\n", o.Key, strings.ReplaceAll(strings.Split(o.Doc, ". ")[0], "'", `\'`))
			}
		}
		return b.String()
	}
	return ""
}
