package auth

import (
	"errors"
	"path"
	"strings"
)

// Host is what grants refer to: a host's name, and its properties from its source.
type Host struct {
	Name    string
	Exact   string // name.box, if there are several boxes; otherwise empty, as Box is
	Box     string // the box that it is on
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

// CheckSelector returns an error if a text does not name the hosts of a grant: a
// name, a pattern with * and ?, project:NAME, label:KEY=VALUE or box:NAME. Names and
// patterns may also be of the form name.box.
func CheckSelector(text string) error {
	_, err := parseSelector(text)
	return err
}

// selector selects the hosts of a grant. Exactly one of its kinds is set.
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

// matches reports whether it selects a host.
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

// mayMatch reports whether it can select any host of this name. The boxes are not
// known here, so a name with a dot may be name.box, in the login as well as in the
// grant.
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

// cutBox splits name.box at its last dot.
func cutBox(name string) (host, box string, isExact bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 1 {
		return name, "", false
	}
	return name[:dot], name[dot+1:], true
}

// rank orders selectors; a lower rank is tried first. Names come first, then patterns
// (longer ones before shorter ones), labels, projects, boxes.
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
