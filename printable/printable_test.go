package printable

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		limit int
		want  string
	}{
		"plain":               {"no such file", 80, "no such file"},
		"nothing":             {"", 80, ""},
		"other alphabets":     {"größe 数据 é", 80, "größe 数据 é"},
		"white space":         {" \t a\r\n\r\n b \n", 80, "a b"},
		"a forged line":       {"bad\nberth: login of root", 80, "bad berth: login of root"},
		"clears the screen":   {"\x1b[2J\x1b]0;title\a", 80, "?[2J?]0;title?"},
		"C1 control":          {"\u009b2J and \u0085 next", 80, "?2J and ? next"},
		"C1 as a bare byte":   {"\x9b2J", 80, "?2J"},
		"backspace, delete":   {"a\b\x7fb", 80, "a??b"},
		"null":                {"a\x00b", 80, "a?b"},
		"bidi override":       {"\u202egnp.exe\u2066", 80, "?gnp.exe?"},
		"zero width, BOM":     {"de\u200bv\ufeff\u00ad", 80, "de?v??"},
		"invisible tags":      {"a\U000e0041", 80, "a?"},
		"line separators":     {"a\u2028b\u2029c", 80, "a?b?c"},
		"space of other kind": {"a\u00a0b\u3000c", 80, "a?b?c"},
		"private use":         {"\ue000", 80, "?"},
		"no UTF-8":            {"a\xff\xc3(", 80, "a??("},
		"U+FFFD itself":       {"a\ufffd", 80, "a\ufffd"},
		"fits exactly":        {"abcde", 5, "abcde"},
		"fits with a space":   {"ab cd   ", 5, "ab cd"},
		"too long":            {"abcdef", 5, "abcd…"},
		"too long by runes":   {"äöüäöü", 5, "äöüä…"},
		"cut at a space":      {"abc def", 4, "abc…"},
		"cut after a space":   {"abc defg", 5, "abc…"},
		"no room":             {"abc", 0, ""},
		"room for one":        {"abc", 1, "…"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Line(c.text, c.limit); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzLine(f *testing.F) {
	for _, text := range []string{"", "a b", "\x1b[2J", "\u202e\u200b", "\xff\xc3(", "  x\n\ny  ", "\ufffd", "äöü 数据"} {
		f.Add(text, 4)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		line := Line(text, limit)
		if !utf8.ValidString(line) || utf8.RuneCountInString(line) > max(0, limit) {
			t.Errorf("%q of %q: not UTF-8, or more than %d runes", line, text, limit)
		}
		for _, r := range line {
			if !unicode.IsPrint(r) {
				t.Errorf("%q of %q: has %U", line, text, r)
			}
		}
		if strings.TrimSpace(line) != line || strings.Contains(line, "  ") {
			t.Errorf("%q of %q: needless space", line, text)
		}
		if again := Line(line, limit); again != line {
			t.Errorf("%q becomes %q", line, again)
		}
	})
}
