package printer

import "charm.land/lipgloss/v2"

// styles are the looks of words. Only the sixteen colours of the terminal's own theme are used: they stay readable on
// dark and on light ground, and need no conversion.
type styles struct {
	on                                         bool
	good, bad, warn, gone, dim, strong, accent lipgloss.Style
}

func newStyles(on bool) styles {
	plain := lipgloss.NewStyle()
	return styles{
		on:     on,
		good:   plain.Foreground(lipgloss.Green),
		bad:    plain.Foreground(lipgloss.Red).Bold(true),
		warn:   plain.Foreground(lipgloss.Yellow),
		gone:   plain.Foreground(lipgloss.Red),
		dim:    plain.Faint(true),
		strong: plain.Bold(true),
		accent: plain.Foreground(lipgloss.Cyan),
	}
}

// paint gives a piece of one line a style; without colours the text comes back byte for byte.
func (s styles) paint(style lipgloss.Style, text string) string {
	if !s.on || text == "" {
		return text
	}
	return style.TabWidth(lipgloss.NoTabConversion).Render(text)
}

// cut shortens one line to a width in columns; 0 leaves it alone.
func cut(line string, width int) string {
	if width <= 0 || lipgloss.Width(line) <= width {
		return line
	}
	return lipgloss.NewStyle().Inline(true).TabWidth(lipgloss.NoTabConversion).MaxWidth(width).Render(line)
}
