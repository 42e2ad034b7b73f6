package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// table shows the checks, row by row as they end.
type table struct {
	*screen
	live bool // a terminal: shows what runs now

	ok, failed, skipped int
	began               time.Time
}

const red = "31"

func newTable(out io.Writer) *table {
	file, isFile := out.(*os.File)
	live := isFile && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
	return &table{screen: newScreen(out), live: live, began: time.Now()}
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
	t.text("%s\n\n", t.paint(bold, fmt.Sprintf(format, args...)))
}

func (t *table) begin(name string) {
	if t.live {
		t.text("%-*s %s", nameWidth, name, t.paint(dim, "..."))
	}
}

const (
	nameWidth = 34
	maxLine   = 300
)

func (t *table) end(name string, took time.Duration, note string, err error) {
	if t.live {
		t.text("\r\x1b[K")
	}
	result, style := "ok", green
	switch {
	case isSkipped(err):
		result, style, note = "skipped", dim, err.Error()
		t.skipped++
	case err != nil:
		result, style, note = "failed", red, oneLine(strings.ReplaceAll(err.Error(), "\n", "; "))
		t.failed++
	default:
		t.ok++
	}
	row := fmt.Sprintf("%-*s %s %8s  %s", nameWidth, name, t.paint(style, fmt.Sprintf("%-7s", result)), rounded(took), note)
	t.text("%s\n", strings.TrimRight(row, " "))
}

// rest is one row for all checks that make no sense any more.
func (t *table) rest(count int, why string) {
	t.skipped += count - 1
	t.end(fmt.Sprintf("%d others", count), 0, "", skipped(why))
}

func (t *table) total() {
	t.text("\n%d ok, %d failed, %d skipped in %s\n", t.ok, t.failed, t.skipped, rounded(time.Since(t.began)))
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

// oneLine is the text as one line of what can be shown.
func oneLine(text string) string {
	shown := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	line := strings.Join(strings.Fields(shown), " ")
	if len(line) > maxLine {
		line = strings.ToValidUTF8(line[:maxLine], "") + "..."
	}
	return line
}
