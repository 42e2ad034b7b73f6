package auth

import (
	"errors"
	"path"
	"strings"
)

// Host is what grants go by: a host's name, and what its source tells of it.
type Host struct {
	Name    string
	Account string // the host's own account; may be empty
	Project string // of provision or docker compose; may be empty
	Labels  map[string]string
}

const (
	projectPrefix = "project:"
	labelPrefix   = "label:"
)

var errSelector = errors.New("not a host; write a name, a pattern such as gpu-*, project:NAME or label:KEY=VALUE")

// CheckSelector says what is wrong with the hosts that a grant is for: a name, a
// pattern of names with * and ?, project:NAME or label:KEY=VALUE.
func CheckSelector(text string) error {
	_, err := parseSelector(text)
	return err
}

// selector says which hosts a grant is for. One of its kinds is set.
type selector struct {
	text string

	name       string
	pattern    string
	project    string
	key, value string // of a label
}

func parseSelector(text string) (selector, error) {
	s := selector{text: text}
	switch project, isProject := strings.CutPrefix(text, projectPrefix); {
	case isProject && isName(project):
		s.project = project
		return s, nil
	case isProject:
		return s, errSelector
	}
	if label, isLabel := strings.CutPrefix(text, labelPrefix); isLabel {
		var isPair bool
		s.key, s.value, isPair = strings.Cut(label, "=")
		if !isPair || s.key == "" || len(label) > 512 {
			return s, errSelector
		}
		return s, nil
	}
	if isName(text) {
		s.name = text
		return s, nil
	}
	if !isName(strings.NewReplacer("*", "_", "?", "_").Replace(text)) {
		if strings.ContainsAny(text, "*?:") {
			return s, errSelector
		}
		return s, CheckName(text)
	}
	s.pattern = text
	return s, nil
}

// matches reports whether a host is one of those selected.
func (s selector) matches(host Host) bool {
	switch {
	case s.name != "":
		return s.name == host.Name
	case s.pattern != "":
		matched, err := path.Match(s.pattern, host.Name)
		return matched && err == nil
	case s.project != "":
		return s.project == host.Project
	}
	value, labelled := host.Labels[s.key]
	return labelled && value == s.value
}

// mayMatch reports whether a host of this name can be one of those selected.
func (s selector) mayMatch(name string) bool {
	return s.project != "" || s.key != "" || s.matches(Host{Name: name})
}

// rank orders what is decided first: a name, then longer patterns before shorter
// ones, then labels, then projects.
func (s selector) rank() int {
	switch {
	case s.name != "":
		return 0
	case s.pattern != "":
		return 1 + maxName - len(s.pattern)
	case s.key != "":
		return 2 + maxName
	}
	return 3 + maxName
}
