package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/berth-ssh/berth/printable"
	"github.com/berth-ssh/berth/screen"
	"github.com/berth-ssh/berth/selftest"
)

// table shows the checks, row by row as they end.
type table struct {
	*screen.Screen
	live bool // the output is a terminal, which also shows the check that is running

	ok, failed, skipped int
	began               time.Time
}

func newTable(out io.Writer) *table {
	live := isTerminal(out) && os.Getenv("TERM") != "dumb"
	return &table{Screen: screen.New(out), live: live, began: time.Now()}
}

func (t *table) title(format string, args ...any) {
	t.Text("%s\n\n", t.Paint(screen.Bold, fmt.Sprintf(format, args...)))
}

func (t *table) begin(name string) {
	if t.live {
		t.Text("%-*s %s", nameWidth, name, t.Paint(screen.Dim, "..."))
	}
}

const (
	nameWidth = 34
	maxLine   = 300 // runes of a failure
)

func (t *table) end(r selftest.Result) {
	if t.live {
		t.Text("\r\x1b[K")
	}
	result, style, note := "ok", screen.Green, r.Note
	switch {
	case r.Skipped():
		result, style, note = "skipped", screen.Dim, printable.Line(r.Err.Error(), maxLine)
		t.skipped += r.Checks
	case r.Failed():
		result, style, note = "failed", screen.Red, printable.Line(strings.ReplaceAll(r.Err.Error(), "\n", "; "), maxLine)
		t.failed++
	default:
		t.ok++
	}
	row := fmt.Sprintf("%-*s %s %8s  %s", nameWidth, r.Name, t.Paint(style, fmt.Sprintf("%-7s", result)), rounded(r.Took), note)
	t.Text("%s\n", strings.TrimRight(row, " "))
}

func (t *table) total() {
	t.Text("\n%d ok, %d failed, %d skipped in %s\n", t.ok, t.failed, t.skipped, rounded(time.Since(t.began)))
}

func rounded(took time.Duration) string {
	switch {
	case took == 0:
		return ""
	case took < time.Second:
		return fmt.Sprintf("%d ms", took.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", took.Seconds())
}
