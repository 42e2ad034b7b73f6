package main

import (
	"fmt"
	"html"
	"strings"
)

// Sizes of a chart, in pixels.
const (
	labelWidth = 250
	plotWidth  = 420
	barHeight  = 10
	groupGap   = 12
)

// chart is an SVG of the rates: bars of the ratios to the reference, which is
// the line at 1. Longer is better: of times the reciprocal is drawn.
func (r *results) chart() string {
	colours := []string{"#888888", "#b8b8b8", "#3b78b0", "#2f9e63", "#d08a2e", "#9dbbd7", "#97cfb1", "#e8c596"}
	var bars strings.Builder
	longest, y := 1.0, 30
	type bar struct {
		y      int
		ratio  float64
		colour string
	}
	var all []bar
	for _, f := range allFigures() {
		reference := median(r.Samples[f.name][r.Doors[0]])
		if f.kind != ratio || reference == 0 {
			continue
		}
		fmt.Fprintf(&bars, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth-8, y+2*barHeight, html.EscapeString(f.name))
		for i, door := range r.Doors[1:] {
			of := median(r.Samples[f.name][door]) / reference
			if f.unit == "ms" && of > 0 {
				of = 1 / of
			}
			longest = max(longest, of)
			all = append(all, bar{y, of, colours[(i+1)%len(colours)]})
			y += barHeight
		}
		y += groupGap
	}
	scale := plotWidth / longest
	for _, b := range all {
		fmt.Fprintf(&bars, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d" font-size="9">%.2f</text>`+"\n",
			labelWidth, b.y, b.ratio*scale, barHeight-1, b.colour, labelWidth+b.ratio*scale+3, b.y+barHeight-2, b.ratio)
	}
	one := labelWidth + scale
	fmt.Fprintf(&bars, `<line x1="%.1f" x2="%.1f" y1="24" y2="%d" stroke="#000" stroke-dasharray="3"/>`+"\n", one, one, y)
	x := 10
	for i, door := range r.Doors[1:] {
		fmt.Fprintf(&bars, `<rect x="%d" y="6" width="10" height="10" fill="%s"/><text x="%d" y="15">%s</text>`+"\n", x, colours[(i+1)%len(colours)], x+14, html.EscapeString(door))
		x += 24 + 7*len(door)
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="#fff"/>
<title>Times as fast as the container's own sshd</title>
%s</svg>
`, max(labelWidth+plotWidth+50, x), y+10, bars.String())
}
