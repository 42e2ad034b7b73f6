package migrate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/provision/compose"
)

// cleanEnvFile is a copy of an env_file without the passwords.
type cleanEnvFile struct {
	text []byte
	mode fs.FileMode
}

// cleanSuffix is appended to the original's name to name the copy.
const cleanSuffix = ".berth"

var passwordLine = regexp.MustCompile(`(?m)^[ \t]*(export[ \t]+)?(ROOT|DEVELOPER)_PASSWORD[ \t]*[=:].*(\n|$)`)

// cleanEnvFiles replaces each env_file with passwords by a copy without them. If
// services share the list, the copy may be named there already.
func (m *Migration) cleanEnvFiles(service *yaml.Node, c types.ServiceConfig) error {
	_, _, list := lookup(service, "env_file")
	if list == nil {
		return nil
	}
	entries := []*yaml.Node{list}
	if list.Kind == yaml.SequenceNode {
		entries = list.Content
	}
	for _, entry := range entries {
		entry = target(entry)
		if _, path := compose.Child(entry, "path"); entry.Kind == yaml.MappingNode && path != nil {
			entry = path
		}
		if err := m.cleanEnvFile(entry, c.Name); err != nil {
			return err
		}
	}
	return nil
}

func (m *Migration) cleanEnvFile(entry *yaml.Node, service string) error {
	text, err := os.ReadFile(m.path(entry.Value))
	if errors.Is(err, fs.ErrNotExist) { // it is optional, or its name contains a variable
		return nil
	}
	if err != nil {
		return err
	}
	if !passwordLine.Match(text) {
		return nil
	}
	info, err := os.Stat(m.path(entry.Value))
	if err != nil {
		return err
	}
	m.note("%s: %s gives way to %s, without the passwords; they still stand in the old one", service, entry.Value, entry.Value+cleanSuffix)
	entry.Value += cleanSuffix
	m.envFiles[entry.Value] = cleanEnvFile{passwordLine.ReplaceAll(text, nil), info.Mode().Perm()}
	return nil
}

// leftOver returns an error, with the line, if the new files would still contain a
// password: as a whole value, or as a word of a comment.
func (m *Migration) leftOver() error {
	for _, l := range m.Logins {
		stands := func(place string) error {
			return fmt.Errorf("%s: the password of %s on %s stands here too; take it out first", place, l.Account, l.Host)
		}
		if line := lineWith(m.file, l.password); line > 0 {
			return stands(fmt.Sprintf("%s:%d", m.From, line))
		}
		for name, env := range m.envFiles {
			for i, line := range strings.Split(string(env.text), "\n") {
				if _, value, ok := strings.Cut(line, "="); ok && strings.Trim(strings.TrimSpace(value), `"'`) == l.password {
					return stands(fmt.Sprintf("%s:%d", name, i+1))
				}
			}
		}
	}
	return nil
}

// lineWith returns the line of a value that is this text, or of a comment that
// contains it as a word; 0 if there is none.
func lineWith(node *yaml.Node, text string) int {
	isWord := func(comment string) bool {
		return slices.Contains(strings.FieldsFunc(comment, func(r rune) bool { return strings.ContainsRune(" \t\n#\"'`=:,;()[]{}", r) }), text)
	}
	if isWord(node.HeadComment) || isWord(node.LineComment) || isWord(node.FootComment) {
		return max(1, node.Line)
	}
	if node.Kind == yaml.ScalarNode {
		_, value, _ := strings.Cut(node.Value, "=")
		if node.Value == text || value == text {
			return node.Line
		}
	}
	for i, below := range node.Content {
		isKey := node.Kind == yaml.MappingNode && i%2 == 0
		if isKey && !isWord(below.HeadComment) && !isWord(below.LineComment) && !isWord(below.FootComment) {
			continue
		}
		if line := lineWith(below, text); line > 0 {
			return line
		}
	}
	return 0
}

// sharesBuild returns another service without passwords that gets its build by a
// merge from the same place of the file, and so must keep it; or "".
func sharesBuild(p *compose.Project, c types.ServiceConfig) string {
	root := p.Sources[0].Root
	buildOf := func(service string) *yaml.Node {
		_, node := compose.Child(root, "services", service)
		if node == nil {
			return nil
		}
		_, _, build := lookup(node, "build")
		return build
	}
	own := buildOf(c.Name)
	for _, name := range p.ServiceNames() {
		if other := p.Services[name]; name != c.Name && own != nil && buildOf(name) == own && len(compose.PasswordsIn(other.Environment)) == 0 {
			return name
		}
	}
	return ""
}
