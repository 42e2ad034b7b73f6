package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// screen is where the demo is shown: with colour on a terminal, unless
// NO_COLOR says otherwise, and plain in a pipe.
type screen struct {
	out    io.Writer
	colour bool
}

func newScreen(out io.Writer) *screen {
	file, isFile := out.(*os.File)
	return &screen{
		out: out,
		colour: isFile && term.IsTerminal(int(file.Fd())) &&
			os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
	}
}

const (
	bold  = "1"
	dim   = "2"
	green = "32"
)

func (s *screen) paint(style, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (s *screen) text(format string, args ...any) { fmt.Fprintf(s.out, format, args...) }

func (s *screen) comment(format string, args ...any) {
	s.text("%s\n", s.paint(dim, "# "+fmt.Sprintf(format, args...)))
}

// command shows a command as a person would type it.
func (s *screen) command(words ...string) {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = quote(word)
	}
	s.text("%s %s\n", s.paint(green, "$"), s.paint(bold, strings.Join(quoted, " ")))
}

// output shows what a command printed.
func (s *screen) output(text string) {
	if text != "" {
		s.text("%s\n", strings.TrimSuffix(text, "\n"))
	}
}

// quote makes one word of a shell's.
func quote(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n'\"\\$&;|<>()*?[]{}~#!`") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
