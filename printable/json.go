package printable

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// ASCII returns JSON text with what JSON lets through as it is escaped, DEL and all beyond
// ASCII: it says the same, and does nothing to a terminal.
func ASCII(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		switch {
		case r < 0x7f:
			out = append(out, byte(r))
		case r <= 0xffff:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		}
	}
	return out
}
