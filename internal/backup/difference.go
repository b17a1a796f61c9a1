package backup

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"gpt-load/internal/secret"
	"gpt-load/pkg/adminapi"
)

const (
	// contextLines stand around a difference so that people see where it is.
	contextLines = 2
	// maxCompared bounds the table of the comparison, in cells: two groups of 2,000 lines that share neither beginning nor
	// end. Larger ones are shown as replaced.
	maxCompared = 4_000_000
)

// masker shows secrets as the API does, and tells apart those that look the same then.
type masker map[string][]string

func (m masker) mask(value string) string {
	shown := adminapi.MaskPrefix + secret.New(value).Tail()
	i := slices.Index(m[shown], value)
	if i < 0 {
		i = len(m[shown])
		m[shown] = append(m[shown], value)
	}
	if i > 0 {
		shown += fmt.Sprintf(" (another value, %d)", i+1)
	}
	return shown
}

// groupLines are two groups as a file would have them, secrets masked. There are none for a group that goes.
func groupLines(from, to *Group) (old, now []string) {
	e := encoder{masked: masker{}.mask}
	if to == nil {
		return nil, nil
	}
	if from != nil {
		old = linesOf(e.group(*from))
	}
	return old, linesOf(e.group(*to))
}

func settingLines(name string, had, to *string) (old, now []string) {
	e := encoder{masked: masker{}.mask}
	lines := func(value *string) []string {
		if value == nil {
			return nil
		}
		return linesOf(e.settings(map[string]string{name: *value}))
	}
	return lines(had), lines(to)
}

func linesOf(n *yaml.Node) []string {
	var b bytes.Buffer
	if err := encode(&b, n); err != nil {
		return []string{err.Error()} // a defect, since the nodes are ours
	}
	return strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
}

// difference gives the lines that only one side has, with a sign before them, and a few of what is around them. It goes
// member by member, so that what happens to look alike in two of them is not taken for the same.
func difference(old, now []string) []string {
	var all []string
	before, after := members(old), members(now)
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && !hasMember(after, before[0][0]):
			all = append(all, signed("- ", before[0])...)
			before = before[1:]
		case len(before) == 0 || !hasMember(before, after[0][0]):
			all = append(all, signed("+ ", after[0])...)
			after = after[1:]
		default: // both stand in the order in which the encoder writes them
			all = append(all, compare(before[0], after[0])...)
			before, after = before[1:], after[1:]
		}
	}
	return hunks(all)
}

// members parts lines where a member begins in the first column.
func members(lines []string) [][]string {
	var parts [][]string
	for i, line := range lines {
		if i == 0 || !strings.HasPrefix(line, " ") {
			parts = append(parts, nil)
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], line)
	}
	return parts
}

func hasMember(parts [][]string, line string) bool {
	name, _, _ := strings.Cut(line, ":")
	return slices.ContainsFunc(parts, func(part []string) bool {
		other, _, _ := strings.Cut(part[0], ":")
		return other == name
	})
}

// compare finds the longest common sequence of lines.
func compare(old, now []string) []string {
	var out []string
	if len(old)*len(now) > maxCompared {
		return append(signed("- ", old), signed("+ ", now)...)
	}
	// longest[i][j] is the length of the longest common sequence of old[i:] and now[j:].
	longest := make([][]int32, len(old)+1)
	for i := range longest {
		longest[i] = make([]int32, len(now)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(now) - 1; j >= 0; j-- {
			if old[i] == now[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(old) && j < len(now) {
		switch {
		case old[i] == now[j]:
			out = append(out, "  "+old[i])
			i, j = i+1, j+1
		case longest[i+1][j] >= longest[i][j+1]:
			out = append(out, "- "+old[i])
			i++
		default:
			out = append(out, "+ "+now[j])
			j++
		}
	}
	return append(out, append(signed("- ", old[i:]), signed("+ ", now[j:])...)...)
}

func signed(sign string, lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = sign + line
	}
	return out
}

// hunks leaves out what is far from any difference.
func hunks(all []string) []string {
	near := make([]bool, len(all))
	for i, line := range all {
		if line[0] == ' ' {
			continue
		}
		for k := max(0, i-contextLines); k <= min(len(all)-1, i+contextLines); k++ {
			near[k] = true
		}
	}
	var out []string
	for i, line := range all {
		switch {
		case near[i]:
			out = append(out, line)
		case i > 0 && near[i-1]:
			out = append(out, "  ...")
		case i == 0:
			out = append(out, "  ...")
		}
	}
	return out
}
