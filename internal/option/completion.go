// SPDX-License-Identifier: Apache-2.0

package option

import (
	"fmt"
	"strings"
)

// Shells are those that Completion knows.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

// Program is what a shell completes.
type Program struct {
	Name string
	// Use is the command line that prints the script, before the name of the shell.
	Use string
	// Commands can be the first argument. Their Words can follow them.
	Commands []Spec
	// Files tells that the first argument can be a file, too.
	Files bool
	// Joined writes a flag and its value with = between them.
	Joined bool
	Flags  []*Spec
}

// Completion returns a script for a shell, or "" for a shell that is not known. Files are
// completed, too, as arguments may be files.
func (p *Program) Completion(shell string) string {
	switch shell {
	case "bash":
		return p.bash()
	case "zsh":
		return p.zsh()
	case "fish":
		return p.fish()
	}
	return ""
}

// words are what a value can be, as far as that can be listed.
func (s *Spec) words() []string {
	switch {
	case len(s.Words) > 0:
		return s.Words
	case s.Kind == Bool:
		return []string{"true", "false"}
	}
	return s.Enum
}

func (p *Program) commands() (names []string) {
	for i := range p.Commands {
		names = append(names, p.Commands[i].Name)
	}
	return names
}

func (p *Program) function() string { return "_" + strings.ReplaceAll(p.Name, "-", "_") }

func (p *Program) bash() string {
	var names []string
	var cases strings.Builder
	for i := range p.Commands {
		if c := &p.Commands[i]; len(c.Words) > 0 {
			fmt.Fprintf(&cases, "        %s) COMPREPLY=($(compgen -W %q -- \"$cur\")); return ;;\n", c.Name, strings.Join(c.Words, " "))
		}
	}
	for _, s := range p.Flags {
		if p.Joined {
			names = append(names, "--"+s.Name+"=")
		} else {
			names = append(names, "--"+s.Name)
		}
		switch {
		case s.Optional:
			for _, w := range s.Words {
				names = append(names, "--"+s.Name+"="+w)
			}
		case s.Kind != Bool:
			fmt.Fprintf(&cases, "        --%s) COMPREPLY=($(compgen -W %q -- \"$cur\")); return ;;\n", s.Name, strings.Join(s.words(), " "))
		}
	}
	first := ""
	if len(p.Commands) > 0 {
		files := ""
		if p.Files {
			files = ` $(compgen -f -- "$cur")`
		}
		first = fmt.Sprintf("    elif [[ $COMP_CWORD == 1 ]]; then\n        COMPREPLY=($(compgen -W %q -- \"$cur\")%s)\n", strings.Join(p.commands(), " "), files)
	}
	return fmt.Sprintf(`# bash completion of %[1]s; use: source <(%[2]s bash)
%[3]s() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    case $prev in
%[4]s    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W %[5]q -- "$cur"))
        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
%[6]s    else
        COMPREPLY=($(compgen -f -- "$cur"))
    fi
}
complete -F %[3]s %[1]s
`, p.Name, p.Use, p.function(), cases.String(), strings.Join(names, " "), first)
}

func (p *Program) zsh() string {
	quote := strings.NewReplacer(`'`, `'\''`, `[`, `\[`, `]`, `\]`, `:`, `\:`, `\`, `\\`)
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %[1]s\n# zsh completion of %[1]s; use: source <(%[2]s zsh)\n%[3]s() {\n    _arguments -S \\\n", p.Name, p.Use, p.function())
	for _, s := range p.Flags {
		spec := "--" + s.Name
		if s.Optional {
			spec += "=-"
		} else if s.Kind != Bool {
			spec += "="
		}
		spec += "[" + quote.Replace(firstSentence(s.Doc)) + "]"
		if s.Kind != Bool {
			spec += strings.Repeat(":", 1+btoi(s.Optional)) + strings.ToLower(s.Arg) + ":"
			if words := s.words(); len(words) > 0 {
				spec += "(" + strings.Join(words, " ") + ")"
			}
		}
		fmt.Fprintf(&b, "        '%s%s' \\\n", strings.Repeat("*", btoi(s.Many)), spec)
	}
	if len(p.Commands) > 0 {
		fmt.Fprintf(&b, "        '1:command or file:{ _values command %s; _files }' \\\n", strings.Join(p.commands(), " "))
	}
	fmt.Fprintf(&b, "        '*:argument:_files'\n}\ncompdef %s %s\n", p.function(), p.Name)
	return b.String()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (p *Program) fish() string {
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion of %s; use: %s fish | source\n", p.Name, p.Use)
	for i := range p.Commands {
		c := &p.Commands[i]
		fmt.Fprintf(&b, "complete -c %s -n __fish_is_first_arg -a %s -d '%s'\n", p.Name, c.Name, quote.Replace(firstSentence(c.Doc)))
		if len(c.Words) > 0 {
			fmt.Fprintf(&b, "complete -c %s -n '__fish_seen_subcommand_from %s' -f -a '%s'\n", p.Name, c.Name, strings.Join(c.Words, " "))
		}
	}
	for _, s := range p.Flags {
		fmt.Fprintf(&b, "complete -c %s -l %s -d '%s'", p.Name, s.Name, quote.Replace(firstSentence(s.Doc)))
		switch words := s.words(); {
		case s.Optional:
			fmt.Fprintf(&b, " -a '%s'", strings.Join(words, " "))
		case s.Kind == Bool:
		case len(words) == 0:
			b.WriteString(" -r")
		default:
			fmt.Fprintf(&b, " -x -a '%s'", strings.Join(words, " "))
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
