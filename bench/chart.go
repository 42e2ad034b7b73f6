package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Sizes of a chart, in pixels.
const (
	labelWidth = 250
	plotWidth  = 460
	barHeight  = 10
	groupGap   = 12
	top        = 30
)

// bar is one door's ratio to the reference, for one figure.
type bar struct {
	door  int
	ratio float64 // above 1 is better
}

// group has the bars of one figure.
type group struct {
	name string
	bars []bar
}

// chart returns an SVG that shows how many times as fast as the reference each door
// is, on a logarithmic scale: bars to the right of the line are faster, those to the
// left slower.
func (r *results) chart() string {
	groups := r.groups()
	lowest, highest := 0.5, 2.0
	for _, g := range groups {
		for _, b := range g.bars {
			lowest, highest = min(lowest, b.ratio), max(highest, b.ratio)
		}
	}
	at := func(ratio float64) float64 {
		return labelWidth + plotWidth*math.Log(ratio/lowest)/math.Log(highest/lowest)
	}
	var drawn strings.Builder
	y := top
	for _, g := range groups {
		fmt.Fprintf(&drawn, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth-8, y+2*barHeight, html.EscapeString(g.name))
		for _, b := range g.bars {
			from, to := min(at(1), at(b.ratio)), max(at(1), at(b.ratio))
			fmt.Fprintf(&drawn, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d" font-size="9">%.2f</text>`+"\n",
				from, y, to-from, barHeight-1, colour(b.door), to+3, y+barHeight-2, b.ratio)
			y += barHeight
		}
		y += groupGap
	}
	fmt.Fprintf(&drawn, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#000"/>`+"\n", at(1), at(1), top-6, y)
	legend, width := r.legend()
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">
<title>Times as fast as the host's own sshd</title>
<rect width="100%%" height="100%%" fill="#fff"/>
%s%s</svg>
`, max(labelWidth+plotWidth+40, width), y+10, legend, drawn.String())
}

// groups returns the figures that have a ratio. For times it is the reciprocal.
func (r *results) groups() []group {
	var groups []group
	for _, f := range allFigures() {
		reference := median(r.Samples[f.name][r.Doors[0]])
		if f.kind != ratio || reference == 0 {
			continue
		}
		g := group{name: f.name}
		for i, door := range r.Doors[1:] {
			of := median(r.Samples[f.name][door]) / reference
			if f.unit == "ms" && of > 0 {
				of = 1 / of
			}
			if of > 0 {
				g.bars = append(g.bars, bar{i, of})
			}
		}
		groups = append(groups, g)
	}
	return groups
}

func (r *results) legend() (svg string, width int) {
	x := 10
	for i, door := range r.Doors[1:] {
		svg += fmt.Sprintf(`<rect x="%d" y="6" width="10" height="10" fill="%s"/><text x="%d" y="15">%s</text>`+"\n", x, colour(i), x+14, html.EscapeString(door))
		x += 24 + 7*len(door)
	}
	return svg, x
}

func colour(door int) string {
	colours := []string{"#b0b0b0", "#3b78b0", "#2f9e63", "#d08a2e", "#9dbbd7", "#97cfb1", "#e8c596"}
	return colours[door%len(colours)]
}
