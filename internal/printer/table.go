package printer

import (
	"strings"

	"charm.land/lipgloss/v2"
)

// cell is one field of a table. It is measured before it is styled.
type cell struct {
	text  string
	style lipgloss.Style
}

// table aligns columns by what a terminal shows, not by bytes; lipgloss' own table is a box, which no tool can cut.
type table struct {
	head []string
	rows [][]cell
}

// text writes the table. Empty fields are "-", so that awk counts columns rightly; with a width, lines are cut to it.
func (t table) text(s styles, width int) string {
	widths := t.widths()
	var b strings.Builder
	head := make([]cell, 0, len(t.head))
	for _, h := range t.head {
		head = append(head, cell{text: h, style: s.dim})
	}
	for _, row := range append([][]cell{head}, t.rows...) {
		b.WriteString(cut(rowText(s, row, widths), width) + "\n")
	}
	return b.String()
}

func rowText(s styles, row []cell, widths []int) string {
	var b strings.Builder
	for i, c := range row {
		text := shown(c.text)
		b.WriteString(s.paint(c.style, text))
		if i < len(row)-1 {
			b.WriteString(strings.Repeat(" ", widths[i]-lipgloss.Width(text)+2))
		}
	}
	return b.String()
}

func (t table) widths() []int {
	widths := make([]int, len(t.head))
	for i, h := range t.head {
		widths[i] = lipgloss.Width(h)
	}
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], lipgloss.Width(shown(c.text)))
		}
	}
	return widths
}

// shown is the text of a field. Columns are parted by two spaces, so single ones inside a field do no harm.
func shown(text string) string {
	if text == "" {
		return "-"
	}
	return oneLine(text)
}
