package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/meshpol/meshpol/pkg/simulate"
)

// The measures of a plot, in pixels.
const (
	plotLeft  = 120
	plotWidth = 520
	barHeight = 8
	groupGap  = 12
	plotTop   = 56
)

// bar is one bar: its length as a share of the plot, its label, and whether it means little.
type bar struct {
	length float64
	label  string
	pale   bool
}

// harmedBar grows with the logarithm of the requests harmed: one decade a fifth of the width.
func harmedBar(t simulate.Tally) bar {
	return bar{length: min(1, math.Log10(1+t.Harmed.Mean)/5), label: fmt.Sprintf("%.0f", t.Harmed.Mean), pale: t.Share(simulate.Failed) < 0.5}
}

func foundBar(t simulate.Tally) bar {
	return bar{length: t.Share(simulate.Failed), label: percent(t.Share(simulate.Failed))}
}

// colours are told apart by most eyes, on light and on dark ground.
func colours() []string { return []string{"#0072b2", "#e69f00", "#cc79a7", "#7f7f7f"} }

// bars draws a group of bars for each harm, one for each rule.
func bars(title string, reports []simulate.Report, of func(simulate.Tally) bar) string {
	group := barHeight*len(colours()) + groupGap
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#7f7f7f\">\n",
		plotLeft+plotWidth+80, plotTop+group*len(reports))
	fmt.Fprintf(&b, "<title>%s</title>\n<text x=\"8\" y=\"16\" font-size=\"13\">%s</text>\n", title, title)
	for i, rule := range reports[0].Rules {
		fmt.Fprintf(&b, "<rect x=\"%d\" y=\"30\" width=\"10\" height=\"10\" fill=\"%s\"/><text x=\"%d\" y=\"39\">%s</text>\n",
			plotLeft+120*i, colours()[i], plotLeft+14+120*i, rule.Name)
	}
	for g, r := range reports {
		y := plotTop + g*group
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", plotLeft-8, y+barHeight*len(r.Rules)/2+4, r.Rules[0].Bad.Harm)
		for i, rule := range r.Rules {
			drawBar(&b, y+i*barHeight, colours()[i], of(*rule.Bad))
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func drawBar(b *strings.Builder, y int, colour string, v bar) {
	opacity := "1"
	if v.pale {
		opacity = "0.35"
	}
	w := v.length * plotWidth
	fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\" fill-opacity=\"%s\"/><text x=\"%.1f\" y=\"%d\" font-size=\"8\">%s</text>\n",
		plotLeft, y, w, barHeight-1, colour, opacity, plotLeft+w+4, y+barHeight-1, v.label)
}
