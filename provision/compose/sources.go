package compose

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Sources are the compose files as they were written. They have the line numbers,
// which the loaded project, a merge of all files, has not.
type Sources []Source

// Source is one compose file.
type Source struct {
	Path      string
	Root      *yaml.Node
	variables []string // names after a $ in its text
	entries   entries
}

// entries finds a mapping's keys by name, since a mapping may have many thousands.
// The first key of a name counts. The index of a mapping is made at its first use.
type entries map[*yaml.Node]map[string]int

func (e entries) of(node *yaml.Node, name string) (key, value *yaml.Node) {
	if node.Kind != yaml.MappingNode {
		return nil, nil
	}
	at, read := e[node]
	if !read {
		at = map[string]int{}
		for i := len(node.Content) - 2; i >= 0; i -= 2 {
			at[node.Content[i].Value] = i
		}
		e[node] = at
	}
	i, there := at[name]
	if !there {
		return nil, nil
	}
	return node.Content[i], node.Content[i+1]
}

// readSources reads the files. Its error gives the file and line of invalid YAML.
func readSources(paths []string) (Sources, error) {
	var all Sources
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var root yaml.Node
		if err := yaml.Unmarshal(text, &root); err != nil {
			return nil, syntaxError(path, string(text), err)
		}
		all = append(all, Source{ShortPath(path), &root, variablesIn(string(text)), entries{}})
	}
	return all, nil
}

func variablesIn(text string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// worded returns compose-go's warnings, each once, with its place if only one is
// possible. A warning of an unset variable that no compose file names is left out:
// the name comes after a $ in a file of variables, and may be a part of a password.
func (s Sources) worded(heard []string) []string {
	const elsewhere = "a file of variables, or a file that is included, has a $ before what is no variable; write $$, or put the value in single quotes"
	var all []string
	for _, line := range heard {
		m := regexp.MustCompile(`^The "(.*)" variable is not set`).FindStringSubmatch(line)
		if m != nil && !slices.ContainsFunc(s, func(src Source) bool { _, ok := slices.BinarySearch(src.variables, m[1]); return ok }) {
			line = elsewhere
		}
		if m := regexp.MustCompile(`^"(\w+)" for boolean is not supported`).FindStringSubmatch(line); m != nil {
			line = s.whereOnly(func(node *yaml.Node) bool { return node.Value == m[1] }) + line
		}
		all = append(all, inShortPaths(line))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// envFileError returns compose-go's error about a file of variables as one line: the
// file and the line, but nothing of its content.
func envFileError(err error) (shown error, is bool) {
	m := regexp.MustCompile(`(?s)failed to read (.*?): (.*)`).FindStringSubmatch(err.Error())
	if m == nil {
		return err, false
	}
	place := ShortPath(m[1])
	if line := regexp.MustCompile(`^line (\d+):`).FindStringSubmatch(m[2]); line != nil {
		place += ":" + line[1]
	}
	return fmt.Errorf("%s: not NAME=value, or a $ that should be $$, or a quote without its end", place), true
}

func syntaxError(path, text string, err error) error {
	if line := tabIndent(text); line > 0 {
		return fmt.Errorf("%s:%d: a tab in the indentation; YAML wants spaces", ShortPath(path), line)
	}
	if load, ok := errors.AsType[*yaml.LoadError](err); ok {
		return fmt.Errorf("%s:%d: %s", ShortPath(path), load.Mark.Line, load.Message)
	}
	return fmt.Errorf("%s: %s", ShortPath(path), err)
}

// tabIndent returns the first line with a tab in its indentation; 0 if there is none.
func tabIndent(text string) int {
	for i, line := range strings.Split(text, "\n") {
		content := strings.TrimLeft(line, " \t")
		if strings.Contains(line[:len(line)-len(content)], "\t") {
			return i + 1
		}
	}
	return 0
}

// Where returns "file:line: " of a path of keys, in the last file that has it, or
// else of the longest part of it that a file has; "" if no file has any of it.
func (s Sources) Where(path ...string) string {
	place, deepest := "", 0
	for _, src := range s {
		if line, depth := src.find(path); depth > 0 && depth >= deepest {
			place, deepest = fmt.Sprintf("%s:%d: ", src.Path, line), depth
		}
	}
	return place
}

func (s Source) find(path []string) (line, depth int) {
	node := s.Root
	for node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	for _, name := range path {
		if node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		if i, err := strconv.Atoi(name); err == nil && node.Kind == yaml.SequenceNode && i < len(node.Content) {
			node = node.Content[i]
			line, depth = node.Line, depth+1
			continue
		}
		key, value := s.entries.of(node, name)
		if key == nil {
			break
		}
		node, line, depth = value, key.Line, depth+1
	}
	return line, depth
}

func entry(node *yaml.Node, name string) (key, value *yaml.Node) {
	if node.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i], node.Content[i+1]
		}
	}
	return nil, nil
}

// ShortPath returns a path relative to the current directory, unless that begins with
// ../.. .
func ShortPath(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	short, err := filepath.Rel(here, path)
	if err != nil || strings.HasPrefix(short, filepath.Join("..", "..")) {
		return path
	}
	return short
}

// Child returns the key and value at a path of a document or mapping; nil if there is
// none.
func Child(node *yaml.Node, path ...string) (key, value *yaml.Node) {
	value = node
	if value.Kind == yaml.DocumentNode {
		value = value.Content[0]
	}
	for _, name := range path {
		if key, value = entry(value, name); value == nil {
			return nil, nil
		}
	}
	return key, value
}
