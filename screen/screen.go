// Package screen writes what people read: with colour on a terminal and plain
// in a pipe, and commands as one would type them.
package screen

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Screen is where the demo is shown: with colour on a terminal, unless
// NO_COLOR says otherwise, and plain in a pipe.
type Screen struct {
	Out    io.Writer
	colour bool
}

func New(out io.Writer) *Screen {
	file, isFile := out.(*os.File)
	return &Screen{
		Out: out,
		colour: isFile && term.IsTerminal(int(file.Fd())) &&
			os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
	}
}

const (
	Bold  = "1"
	Dim   = "2"
	Red   = "31"
	Green = "32"
)

func (s *Screen) Paint(style, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (s *Screen) Text(format string, args ...any) { fmt.Fprintf(s.Out, format, args...) }

func (s *Screen) Comment(format string, args ...any) {
	s.Text("%s\n", s.Paint(Dim, "# "+fmt.Sprintf(format, args...)))
}

// Command shows a command as a person would type it.
func (s *Screen) Command(words ...string) {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = Quote(word)
	}
	s.Text("%s %s\n", s.Paint(Green, "$"), s.Paint(Bold, strings.Join(quoted, " ")))
}

// Output shows what a command printed.
func (s *Screen) Output(text string) {
	if text != "" {
		s.Text("%s\n", strings.TrimSuffix(text, "\n"))
	}
}

// Quote makes one word of a shell's.
func Quote(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n'\"\\$&;|<>()*?[]{}~#!`") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
