package main

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/berth-ssh/berth/printable"
)

// table returns rows in columns, made safe for a terminal: cells may come from labels
// and processes, and so from anybody.
func table(rows [][]string) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		var cells []string
		for _, cell := range row {
			cells = append(cells, printable.Line(cell, math.MaxInt))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	w.Flush()
	return text.String()
}
