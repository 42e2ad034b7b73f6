package keysource

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Source is where keys lie.
type Source struct {
	Name string // as a configuration has it: gh:alice, gl:alice or the address
	URL  string
}

var (
	errName = errors.New("not a name there; write gh:alice or gl:alice")
	errURL  = errors.New("not an address of keys; write https://host/path, without a user or password in it")
)

// Split reads a line that names a source, with options before it as those of a key.
// It is not one if it names none.
func Split(line string) (options string, source Source, isOne bool, err error) {
	line = strings.TrimSpace(line)
	name := line[strings.LastIndexAny(line, " \t")+1:]
	options = strings.TrimSpace(strings.TrimSuffix(line, name))
	service, person, _ := strings.Cut(name, ":")
	switch service {
	case "gh":
		source, err = at(name, "https://github.com/", person)
	case "gl":
		source, err = at(name, "https://gitlab.com/", person)
	case "http", "https":
		source, err = byAddress(name)
	default:
		return "", Source{}, false, nil
	}
	return options, source, true, err
}

func at(name, service, person string) (Source, error) {
	if !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`).MatchString(person) {
		return Source{}, fmt.Errorf("%.80q is %w", name, errName)
	}
	return Source{name, service + person + ".keys"}, nil
}

func byAddress(name string) (Source, error) {
	u, err := url.Parse(name)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return Source{}, errURL
	}
	return Source{name, u.String()}, nil
}
