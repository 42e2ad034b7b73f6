package config

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/berth-ssh/berth/keysource"

	"go.yaml.in/yaml/v4"
)

// Error is one problem of a configuration file. It says what would be right, and
// never quotes a password, hash or key.
type Error struct {
	path string
	line int // 0 for the file as a whole
	text string
}

func (e Error) Error() string {
	if e.line == 0 {
		return e.path + ": " + e.text
	}
	return fmt.Sprintf("%s:%d: %s", e.path, e.line, e.text)
}

// Errors are all problems of a configuration, one on each line, in the order of the
// file.
type Errors []Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// document is a YAML file that is being read. Reading goes on after an error, so that
// a person sees all of them at once.
//
// Every scalar is read as the text in the file, so a host may be called no or 1e3. A
// key without a value is treated as absent.
type document struct {
	path   string
	secret bool // it contains a password

	files   []string           // files that it names and that were read
	sources []keysource.Source // sources of keys that it names
	errs    Errors

	warnings Errors
}

func (d *document) wrong(line int, format string, args ...any) {
	d.errs = append(d.errs, Error{d.path, line, fmt.Sprintf(format, args...)})
}

func (d *document) warn(line int, format string, args ...any) {
	d.warnings = append(d.warnings, Error{d.path, line, "warning: " + fmt.Sprintf(format, args...)})
}

// err returns all errors, sorted by line, or nil. An error in a part that several
// aliases repeat is returned only once.
func (d *document) err() error {
	if len(d.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(d.errs, func(a, b Error) int { return a.line - b.line })
	d.errs = slices.Compact(d.errs)
	return d.errs
}

// parse returns the root node, or nil if the file is empty or invalid.
func (d *document) parse(data []byte) *yaml.Node {
	if line := lineOfNonText(data); line > 0 {
		d.wrong(line, "not text; write UTF-8 without control characters")
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		d.wrong(1, "%v", err)
		return nil
	}
	var first, second yaml.Node
	if err := loader.Load(&first); err == io.EOF {
		d.wrong(1, "the file is empty; begin with users:")
		return nil
	} else if err != nil {
		d.syntax(err, data)
		return nil
	}
	if err := loader.Load(&second); err == nil {
		d.wrong(second.Line, "a second document begins here; keep everything in one")
	} else if err != io.EOF {
		d.syntax(err, data)
	}
	return present(first.Content[0])
}

// lineOfNonText returns the first line with bytes that are not text, or with a
// character that only YAML takes for a line end; 0 if there is none.
func lineOfNonText(data []byte) int {
	number := 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if !utf8.Valid(line) || bytes.ContainsFunc(line, isControl) {
			return number
		}
	}
	return 0
}

func isControl(r rune) bool {
	return r != '\t' && unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp)
}

// present returns the node that an alias stands for, and nil for a key without a
// value.
func present(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	return n
}

// text reads a scalar; what is its name for an error. ok is false if n is nil.
func (d *document) text(n *yaml.Node, what string) (text string, ok bool) {
	switch {
	case n == nil:
		return "", false
	case n.Kind != yaml.ScalarNode:
		d.wrong(n.Line, "%s must be a single value, not a list or mapping", what)
		return "", false
	case strings.ContainsAny(n.Value[:min(len(n.Value), utf8.UTFMax)], "“”„‘’«»"):
		d.wrong(n.Line, "%s begins with a quotation mark of a word processor; write it without, or with \" or '", what)
		return "", false
	case n.Style&yaml.TaggedStyle != 0:
		d.wrong(n.Line, "%s has a YAML tag; leave the tag out", what)
		return "", false
	}
	return n.Value, true
}

// list calls read for every item.
func (d *document) list(n *yaml.Node, what string, read func(item *yaml.Node)) {
	if n == nil {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.wrong(n.Line, "%s must be a list; begin each item with \"- \"", what)
		return
	}
	for _, item := range n.Content {
		if value := present(item); value != nil {
			read(value)
		} else {
			d.wrong(item.Line, "an item of %s is empty; leave it out", what)
		}
	}
}

// each calls read for every key and its value, which is nil if there is none.
func (d *document) each(n *yaml.Node, what string, read func(key, value *yaml.Node)) {
	if n == nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.wrong(n.Line, "%s must be a mapping; write \"key: value\" pairs", what)
		return
	}
	seen := make(map[string]int)
	for pair := range slices.Chunk(n.Content, 2) {
		key, value := pair[0], pair[1]
		if key.Kind != yaml.ScalarNode {
			d.wrong(key.Line, "a key of %s must be a word", what)
			continue
		}
		if first, twice := seen[key.Value]; twice {
			d.wrong(key.Line, "a key of %s is given twice; keep this or line %d", what, first)
			continue
		}
		seen[key.Value] = key.Line
		read(key, present(value))
	}
}

// fields returns the values of a mapping by key, without keys that have no value. An
// unknown key is an error. The error does not quote the key, which may be half of a
// password or hash that contains a comma.
func (d *document) fields(n *yaml.Node, what string, known ...string) map[string]*yaml.Node {
	values := make(map[string]*yaml.Node)
	d.each(n, what, func(key, value *yaml.Node) {
		if !slices.Contains(known, key.Value) {
			d.wrong(key.Line, "unknown key in %s; %s", what, right(n, key, value, known))
		} else if value != nil {
			values[key.Value] = value
		}
	})
	return values
}

// right returns what to write in the place of an unknown key.
func right(mapping, key, value *yaml.Node, known []string) string {
	switch {
	case slices.Contains(known, "users") && hasUserKey(value):
		return "if it is a user, it belongs below users:, further indented"
	case mapping.Style&yaml.FlowStyle != 0 && value == nil: // a comma has split a value
		return suggest(key.Value, known) + "; between { and } a value with a comma needs quotes"
	}
	return suggest(key.Value, known)
}
