package auth

import (
	"errors"
	"path"
	"strings"
)

// Host is what grants go by: a host's name, and what its source tells of it.
type Host struct {
	Name    string
	Exact   string // name.box, where there are several boxes; else empty, as the next
	Box     string // that it is on
	Account string // the host's own account; may be empty
	Project string // of provision or docker compose; may be empty
	Labels  map[string]string
}

const (
	projectPrefix = "project:"
	labelPrefix   = "label:"
	boxPrefix     = "box:"
)

var errSelector = errors.New("not a host; write a name, a pattern such as gpu-*, project:NAME, label:KEY=VALUE or box:NAME")

// CheckSelector says what is wrong with the hosts that a grant is for: a name, a
// pattern of names with * and ?, project:NAME, label:KEY=VALUE or box:NAME. Names and
// patterns are of hosts, and of name.box as well.
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
	box        string
}

func parseSelector(text string) (selector, error) {
	s := selector{text: text}
	for prefix, field := range map[string]*string{projectPrefix: &s.project, boxPrefix: &s.box} {
		name, has := strings.CutPrefix(text, prefix)
		switch {
		case has && isName(name):
			*field = name
			return s, nil
		case has:
			return s, errSelector
		}
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
	case s.name != "" || s.pattern != "":
		return s.matchesName(host.Name) || host.Exact != "" && s.matchesName(host.Exact)
	case s.project != "":
		return s.project == host.Project
	case s.box != "":
		return s.box == host.Box
	}
	value, labelled := host.Labels[s.key]
	return labelled && value == s.value
}

func (s selector) matchesName(name string) bool {
	if s.name != "" {
		return s.name == name
	}
	matched, err := path.Match(s.pattern, name)
	return matched && err == nil
}

// mayMatch reports whether a host of this name can be one of those selected. Which
// boxes there are is not known here: any name may be name.box, of the login's as of
// the grant's.
func (s selector) mayMatch(name string) bool {
	if s.name == "" && s.pattern == "" || s.matchesName(name) {
		return true
	}
	if host, _, isExact := cutBox(name); isExact && s.matchesName(host) {
		return true
	}
	host, _, isExact := cutBox(s.text)
	if !isExact {
		return false
	}
	onAnyBox, err := path.Match(host, name)
	return onAnyBox && err == nil
}

// cutBox cuts name.box at its last dot.
func cutBox(name string) (host, box string, isExact bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 1 {
		return name, "", false
	}
	return name[:dot], name[dot+1:], true
}

// rank orders what is decided first: a name, then longer patterns before shorter
// ones, then labels, then projects, then boxes.
func (s selector) rank() int {
	switch {
	case s.name != "":
		return 0
	case s.pattern != "":
		return 1 + maxName - len(s.pattern)
	case s.key != "":
		return 2 + maxName
	case s.project != "":
		return 3 + maxName
	}
	return 4 + maxName
}
