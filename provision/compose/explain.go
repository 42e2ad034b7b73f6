package compose

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// explain returns an error of compose-go as one line for people, with file and line
// if the error names the place in some way.
func (s Sources) explain(err error) error {
	if shown, is := envFileError(err); is {
		return shown
	}
	text := err.Error()
	if m := regexp.MustCompile(`^failed to parse (\S+): .*line (\d+): (.*)`).FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%s:%s: %s", ShortPath(m[1]), m[2], m[3])
	}
	text = strings.TrimSuffix(text, ": invalid compose project")
	text = strings.TrimPrefix(text, "decoding failed due to the following error(s):")
	text = strings.Join(strings.Fields(text), " ")
	text = reworded(text)
	place := s.Where(placeNamed(text)...)
	if place == "" {
		place = s.whereSaid(text)
	}
	if place == "" && len(s) == 1 {
		place = s[0].Path + ": "
	}
	return errors.New(place + inShortPaths(text))
}

// inShortPaths returns a text with its paths relative to the current directory.
func inShortPaths(text string) string {
	return regexp.MustCompile(`\B/[^\s:]+`).ReplaceAllStringFunc(text, ShortPath)
}

// reworded returns an error of compose-go in other words: what is wrong with which
// key, and what would be right.
func reworded(text string) string {
	for _, r := range []struct{ was, is string }{
		{`^validating \S+: `, ``},
		{` false schema`, `: compose knows no such key`},
		{`^services additional properties '([^']+)' not allowed$`, `services.$1: the name of a service has letters, digits, . _ and - alone`},
		{`^(?:(\S+) )?additional properties '([^']+)'.* not allowed$`, `$1.$2: compose knows no such key`},
		{`^\.`, ``},
		{`^error while interpolating (\S+): failed to cast to expected type: invalid boolean: (.*)`, `$1: "$2" is neither true nor false`},
		{`^error while interpolating (\S+): failed to cast to expected type: .*parsing (".*"): .*`, `$1: $2 is no number`},
		{`(gpus) must be a string$`, `$1: write all, or a list such as [{count: 2}]`},
		{`(capabilities) must be a array$`, `$1 must be a list, such as [gpu]`},
		{`(devices\.\d+) missing property 'capabilities'$`, `$1 needs capabilities: [gpu]`},
		{` must be a array$`, ` must be a list: begin each item with "- "`},
		{` must be a null$`, ` must be a text or a list: put it in quotes`},
		{` must be a string$`, ` must be a text: put it in quotes`},
		{`(refers to undefined (\w+) \S+)$`, `$1; add it under ${2}s: of the file`},
	} {
		text = regexp.MustCompile(r.was).ReplaceAllString(text, r.is)
	}
	return regexp.MustCompile(`'\w+\[[^']*'`).ReplaceAllStringFunc(text, func(path string) string {
		return regexp.MustCompile(`\[([\w.-]+)\]`).ReplaceAllString(strings.Trim(path, "'"), ".$1") + ":"
	})
}

// placeNamed returns the path of the key that a message of compose-go names.
func placeNamed(text string) []string {
	if m := regexp.MustCompile(`\b(?:services|networks|volumes)(?:\.[\w-]+)+`).FindString(text); m != "" {
		return strings.Split(m, ".")
	}
	if m := regexp.MustCompile(`^service "([^"]+)"`).FindStringSubmatch(text); m != nil {
		return []string{"services", m[1]}
	}
	if m := regexp.MustCompile(`^([\w-]+): compose knows`).FindStringSubmatch(text); m != nil {
		return m[1:]
	}
	return nil
}

// whereSaid returns "file:line: " of the only value that a message of compose-go is
// about, a file or a port; "" if there are none or several.
func (s Sources) whereSaid(text string) string {
	m := regexp.MustCompile(`^(?:open|env file) (\S+?):? |invalid \w+: (\S+)$`).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	said := filepath.Base(m[1] + m[2])
	return s.whereOnly(func(node *yaml.Node) bool { return strings.Contains(node.Value, said) })
}

// whereOnly returns "file:line: " of the only value for which isMeant is true; "" if
// there are none or several.
func (s Sources) whereOnly(isMeant func(*yaml.Node) bool) string {
	var places []string
	for _, src := range s {
		for _, line := range linesOf(src.Root, isMeant) {
			places = append(places, fmt.Sprintf("%s:%d: ", src.Path, line))
		}
	}
	if len(places) != 1 {
		return ""
	}
	return places[0]
}

// linesOf returns the lines of the values for which isMeant is true.
func linesOf(node *yaml.Node, isMeant func(*yaml.Node) bool) []int {
	if node.Kind == yaml.ScalarNode && isMeant(node) {
		return []int{node.Line}
	}
	var lines []int
	for _, below := range node.Content {
		lines = append(lines, linesOf(below, isMeant)...)
	}
	return lines
}
