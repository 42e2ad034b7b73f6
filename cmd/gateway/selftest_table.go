package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"berth/screen"
)

// table shows the checks, row by row as they end.
type table struct {
	*screen.Screen
	live bool // a terminal: shows what runs now

	ok, failed, skipped int
	began               time.Time
}

func newTable(out io.Writer) *table {
	file, isFile := out.(*os.File)
	live := isFile && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
	return &table{Screen: screen.New(out), live: live, began: time.Now()}
}

// skipped is why a check was not made.
type skipped string

func (s skipped) Error() string { return string(s) }

func isSkipped(err error) bool {
	why := skipped("")
	return errors.As(err, &why)
}

// failed is the line of a failure: what was wanted, what came, what to do.
func failed(wanted string, got any, todo string) error {
	line := fmt.Sprintf("wanted %s, got %v", wanted, got)
	if todo != "" {
		line += ": " + todo
	}
	return errors.New(line)
}

func (t *table) title(format string, args ...any) {
	t.Text("%s\n\n", t.Paint(screen.Bold, fmt.Sprintf(format, args...)))
}

func (t *table) begin(name string) {
	if t.live {
		t.Text("%-*s %s", nameWidth, name, t.Paint(screen.Dim, "..."))
	}
}

const nameWidth = 34

func (t *table) end(name string, took time.Duration, note string, err error) {
	if t.live {
		t.Text("\r\x1b[K")
	}
	result, style := "ok", screen.Green
	switch {
	case isSkipped(err):
		result, style, note = "skipped", screen.Dim, err.Error()
		t.skipped++
	case err != nil:
		result, style, note = "failed", screen.Red, screen.OneLine(strings.ReplaceAll(err.Error(), "\n", "; "))
		t.failed++
	default:
		t.ok++
	}
	row := fmt.Sprintf("%-*s %s %8s  %s", nameWidth, name, t.Paint(style, fmt.Sprintf("%-7s", result)), rounded(took), note)
	t.Text("%s\n", strings.TrimRight(row, " "))
}

// rest is one row for all checks that make no sense any more.
func (t *table) rest(count int, why string) {
	t.skipped += count - 1
	t.end(fmt.Sprintf("%d others", count), 0, "", skipped(why))
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
