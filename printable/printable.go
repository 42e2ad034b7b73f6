// Package printable makes text that a container, a client or another program
// wrote fit to be shown on a terminal and written to a log.
package printable

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line returns the text as one line of at most limit runes. Runs of white space,
// line breaks among them, become one space, and there is none at either end.
// Every other rune that a terminal would not simply draw becomes a question
// mark: control characters (ESC and the C1 set of 0x80 to 0x9f too), characters
// that reorder or hide what stands beside them (bidi overrides, zero widths,
// tags), line separators, unassigned and private code points, and bytes that are
// not UTF-8. A text that is longer ends with an ellipsis, which counts.
//
// It reads no more of the text than it needs.
func Line(text string, limit int) string {
	var line strings.Builder
	runes, space := 0, false
	for i, r := range text {
		if unicode.IsSpace(r) && r < utf8.RuneSelf {
			space = runes > 0
			continue
		}
		wanted := 1
		if space {
			wanted = 2
		}
		if runes+wanted > limit {
			return ellipsis(line.String(), runes, limit)
		}
		if space {
			line.WriteByte(' ')
		}
		line.WriteRune(shown(text[i:], r))
		runes, space = runes+wanted, false
	}
	return line.String()
}

// Text returns the text with its line breaks and spaces, and every rune in it as [Line]
// shows it.
func Text(text string) string {
	var out strings.Builder
	for i, r := range text {
		if r != '\n' {
			r = shown(text[i:], r)
		}
		out.WriteRune(r)
	}
	return out.String()
}

// shown is the rune that stands for r, which begins rest.
func shown(rest string, r rune) rune {
	if r == utf8.RuneError {
		if _, size := utf8.DecodeRuneInString(rest); size == 1 { // no UTF-8, and not a U+FFFD that somebody wrote
			return '?'
		}
	}
	if !unicode.IsPrint(r) {
		return '?'
	}
	return r
}

func ellipsis(line string, runes, limit int) string {
	if limit < 1 {
		return ""
	}
	if runes == limit {
		_, last := utf8.DecodeLastRuneInString(line)
		line = line[:len(line)-last]
	}
	return strings.TrimRight(line, " ") + "…"
}
