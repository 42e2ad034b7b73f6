package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/auth"
)

// syntax reports what the YAML library found, in words for people. It quotes nothing
// of the file.
func (d *document) syntax(err error, data []byte) {
	at, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		d.wrong(1, "not valid YAML")
		return
	}
	line := max(at.Mark.Line, 1)
	if form, text := otherForm(data, line); form > 0 {
		d.wrong(form, "%s", text)
		return
	}
	switch begin := charAt(data, at.Mark); {
	case begin == '\t':
		d.wrong(line, "a tab cannot indent; use spaces")
	case begin == '*' || strings.HasPrefix(at.Message, "unknown anchor"): // it quotes what may be a password
		d.wrong(line, "a value that begins with * needs quotes, or an anchor of that name before it")
	case begin == '@' || begin == '`' || begin == '%':
		d.wrong(line, "a value that begins with %c needs quotes", begin)
	case strings.HasPrefix(at.Message, "mapping values are not allowed"):
		d.wrong(line, "not valid YAML: a key does not belong here; indent keys that belong together alike, and quote a value with \": \" in it")
	case strings.Contains(at.Message, "could not find expected ':'"): // it is noticed on a later line
		d.wrong(max(at.ContextMark.Line, 1), "not valid YAML: neither \"key: value\" nor an item of a list; give it a colon, or a \"- \", or take it out")
	case strings.Contains(at.Message, "did not find expected key"), strings.Contains(at.Message, "did not find expected '-' indicator"):
		d.wrong(line, "not valid YAML: this line fits nothing above it%s; indent keys that belong together alike, and put a value into quotes that begins with [, {, \" or ' and goes on behind its end", since(at))
	default:
		d.wrong(line, "not valid YAML: %s", at.Message+reading(at))
	}
}

// since returns where the part begins into which a line does not fit.
func since(at *yaml.LoadError) string {
	if begin := at.ContextMark.Line; begin > 0 && begin != at.Mark.Line {
		return fmt.Sprintf(" from line %d on", begin)
	}
	return ""
}

// reading returns what the library was reading, in its own words.
func reading(at *yaml.LoadError) string {
	text := ""
	if at.ContextMsg != "" {
		text += " " + at.ContextMsg
	}
	if begin := at.ContextMark.Line; begin > 0 && begin != at.Mark.Line {
		text += fmt.Sprintf(" that begins on line %d", begin)
	}
	return text
}

// otherForm returns the last line, up to the one where the YAML is invalid, that
// begins a key in another form than a line, and what to write instead; 0 if there is
// none.
func otherForm(data []byte, until int) (line int, text string) {
	number := 0
	for each := range bytes.Lines(data) {
		if number++; number > until {
			break
		}
		if begins := regexp.MustCompile(`---- ?BEGIN |PuTTY-User-Key-File`).Match(each); begins {
			line, text = number, "key: "+auth.CheckForm(string(each)).Error()
		}
	}
	return line, text
}

func charAt(data []byte, at yaml.Mark) rune {
	lines := bytes.Split(data, []byte("\n"))
	if at.Line < 1 || at.Line > len(lines) {
		return 0
	}
	line := []rune(string(lines[at.Line-1]))
	if at.Column < 1 || at.Column > len(line) {
		return 0
	}
	return line[at.Column-1]
}
