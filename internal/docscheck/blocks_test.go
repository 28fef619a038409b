// SPDX-License-Identifier: Apache-2.0

package docscheck

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is a code block of a Markdown file, without fence and indentation.
type block struct {
	line    int    // of its first line of code, from 1
	section string // the heading above it
	info    string // what stands behind the opening fence
	text    string
}

var listItem = regexp.MustCompile(`^(?:[-*+]|\d{1,9}[.)]) +`)

// blocks finds the code blocks that are fenced, and those that are indented by four
// columns. Text that belongs to an item of a list is no block, although it is indented.
// What is rare (a fence on the line of the item) is taken for more code than it is,
// never for less, so that no block is overlooked.
func blocks(text string) (list []block) {
	lines := strings.Split(strings.ReplaceAll(text, "\t", "    "), "\n")
	indent := func(i int) int { return len(lines[i]) - len(strings.TrimLeft(lines[i], " ")) }
	section := ""
	item := 0     // column of the text of the item that a line may belong to
	free := true  // whether an indented block may begin: it cannot interrupt a paragraph
	code := false // whether the line belongs to the last block
	var mark string
	for i, line := range lines {
		trimmed := strings.TrimSpace(line)
		if mark != "" { // within a fence
			if strings.HasPrefix(trimmed, mark) && strings.Trim(trimmed, mark[:1]) == "" {
				mark, free = "", true
				continue
			}
			b := &list[len(list)-1]
			b.text += line[min(indent(i), item):] + "\n"
			continue
		}
		if trimmed == "" {
			free = true
			if code {
				list[len(list)-1].text += "\n"
			}
			continue
		}
		if free && indent(i) < item {
			item = 0
		}
		indented := indent(i) >= item+4
		switch {
		case indented && (free || code):
			if !code {
				list = append(list, block{line: i + 1, section: section})
			}
			b := &list[len(list)-1]
			b.text += line[item+4:] + "\n"
			code = true
			continue
		case !indented && (strings.HasPrefix(trimmed, "```") || strings.HasPrefix(trimmed, "~~~")):
			info := strings.TrimLeft(trimmed, trimmed[:1])
			mark = trimmed[:len(trimmed)-len(info)]
			list = append(list, block{line: i + 2, section: section, info: strings.TrimSpace(info)})
		case !indented && listItem.MatchString(trimmed):
			item = indent(i) + len(listItem.FindString(trimmed))
			free = false
		default:
			m := heading.FindStringSubmatch(line)
			if free = m != nil; free {
				section, item = m[1], 0
			}
		}
		code = false
	}
	for i := range list {
		list[i].text = strings.TrimRight(list[i].text, "\n") + "\n"
	}
	return list
}

func TestBlocksAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []block
	}{
		"fence with a language": {"# A\n```go extra\nx\n\n    y\n```\nz\n", []block{{3, "A", "go extra", "x\n\n    y\n"}}},
		"fence in a fence":      {"````\n```\n````\n", []block{{2, "", "", "```\n"}}},
		"fence of tildes":       {"~~~\n```\n~~~\n", []block{{2, "", "", "```\n"}}},
		"fence without an end":  {"```\nx\n", []block{{2, "", "", "x\n"}}},
		"indented":              {"text\n\n    x\n\n      y\n\ntext\n", []block{{3, "", "", "x\n\n  y\n"}}},
		"indented by a tab":     {"\tx\n", []block{{1, "", "", "x\n"}}},
		"below a heading":       {"# A\n    x\n## B\n    # y\n", []block{{2, "A", "", "x\n"}, {4, "B", "", "# y\n"}}},
		"below a fence":         {"```\n```\n    x\n", []block{{2, "", "", "\n"}, {3, "", "", "x\n"}}},
		"rest of a paragraph":   {"text\n    goes on\n", nil},
		"rest of an item":       {"- text\n\n    goes on\n\n1. text\n\n   goes on\n", nil},
		"code in an item":       {"- text\n\n      x\n- text\n", []block{{3, "", "", "x\n"}}},
		"fence in an item":      {"- text\n  ```\n  x\n  ```\n", []block{{3, "", "", "x\n"}}},
		"behind a list":         {"- text\n\ntext\n\n    x\n", []block{{5, "", "", "x\n"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := blocks(c.text); !slices.Equal(got, c.want) {
				t.Errorf("unexpected blocks; got %+v; want %+v", got, c.want)
			}
		})
	}
}
