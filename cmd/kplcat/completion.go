// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// completion returns a script for a shell. Files are completed too, as arguments may
// be files.
func completion(shell string) string {
	switch shell {
	case "bash":
		return bashCompletion()
	case "zsh":
		return zshCompletion()
	default:
		return fishCompletion()
	}
}

func bashCompletion() string {
	var names, cases strings.Builder
	for _, s := range readFlags {
		names.WriteString(" --" + s.name)
		if s.opt {
			for _, v := range s.values {
				names.WriteString(" --" + s.name + "=" + v)
			}
		} else if s.arg != "" {
			fmt.Fprintf(&cases, "        --%s) COMPREPLY=($(compgen -W %q -- \"$cur\")); return ;;\n", s.name, strings.Join(s.values, " "))
		}
	}
	return fmt.Sprintf(`# bash completion of kplcat; use: source <(kplcat --completion bash)
_kplcat() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    case $prev in
%s    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W %q -- "$cur"))
    elif [[ $COMP_CWORD == 1 ]]; then
        COMPREPLY=($(compgen -W doctor -- "$cur") $(compgen -f -- "$cur"))
    else
        COMPREPLY=($(compgen -f -- "$cur"))
    fi
}
complete -F _kplcat kplcat
`, cases.String(), strings.TrimSpace(names.String()))
}

func zshCompletion() string {
	quote := strings.NewReplacer(`'`, `'\''`, `[`, `\[`, `]`, `\]`, `:`, `\:`, `\`, `\\`)
	var b strings.Builder
	b.WriteString("#compdef kplcat\n# zsh completion of kplcat; use: source <(kplcat --completion zsh)\n_kplcat() {\n    _arguments -S \\\n")
	for _, s := range readFlags {
		spec := "--" + s.name
		if s.opt {
			spec += "=-"
		}
		spec += "[" + quote.Replace(firstSentence(s.help)) + "]"
		if s.arg != "" {
			colons := ":"
			if s.opt {
				colons = "::"
			}
			spec += colons + strings.ToLower(s.arg) + ":"
			if len(s.values) > 0 {
				spec += "(" + strings.Join(s.values, " ") + ")"
			}
		}
		many := ""
		if s.many {
			many = "*"
		}
		fmt.Fprintf(&b, "        '%s%s' \\\n", many, spec)
	}
	b.WriteString("        '*:stream or file:_files'\n}\ncompdef _kplcat kplcat\n")
	return b.String()
}

func fishCompletion() string {
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	var b strings.Builder
	b.WriteString("# fish completion of kplcat; use: kplcat --completion fish | source\n")
	b.WriteString("complete -c kplcat -n __fish_is_first_arg -a doctor -d 'Check the way to a stream'\n")
	for _, s := range readFlags {
		fmt.Fprintf(&b, "complete -c kplcat -l %s -d '%s'", s.name, quote.Replace(firstSentence(s.help)))
		switch {
		case s.opt:
			fmt.Fprintf(&b, " -a '%s'", strings.Join(s.values, " "))
		case len(s.values) > 0:
			fmt.Fprintf(&b, " -x -a '%s'", strings.Join(s.values, " "))
		case s.arg != "":
			b.WriteString(" -x")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// firstSentence is enough for a menu.
func firstSentence(s string) string {
	if i := strings.IndexAny(s, ".:"); i >= 0 && !strings.HasPrefix(s[i:], "://") {
		s = s[:i]
	}
	return s
}
