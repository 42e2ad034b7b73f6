// Package migrate turns an old compose file, whose containers each publish an ssh
// port and take passwords, into a compose file for provision and the users of a
// gateway.
package migrate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/image"
	"github.com/berth-ssh/berth/provision/compose"
)

// The files that are written, in the directory of the old file, so that the project
// keeps its name and its volumes. The new compose file gets the name that compose and
// provision look for first. If the old file has that name, either it is renamed, or
// the new one is SecondFile.
const (
	ComposeFile = "compose.yaml"
	SecondFile  = "compose.berth.yaml"
	GatewayFile = "gateway.yaml"
)

// Migration is the result for one compose file.
type Migration struct {
	Dir    string // of the file
	From   string // its name there
	Logins []Login
	Notes  []string // what people should know, one line each

	file     *yaml.Node
	envFiles map[string]cleanEnvFile // by the path in the new file
}

// Login is an old login, an account with a password on a host's own port, and the
// gateway's user that replaces it.
type Login struct {
	Host, Account string
	Port          string // "" where none was published
	User          string // the gateway's user

	service, password string
}

// Read reads one compose file, with the services of all profiles, and computes the
// result. It writes nothing. It returns an error for a file without such passwords:
// berth-provision up can use that as it is.
func Read(ctx context.Context, o compose.Options) (*Migration, error) {
	o.Profiles = []string{compose.EveryProfile}
	project, err := compose.Load(ctx, o)
	if err != nil {
		return nil, err
	}
	if len(project.Sources) != 1 {
		return nil, errors.New("import reads one compose file; merge them first with docker compose config")
	}
	m := &Migration{
		Dir: project.WorkingDir, From: filepath.Base(project.Sources[0].Path), file: project.Sources[0].Root,
		envFiles: map[string]cleanEnvFile{},
	}
	for _, name := range project.ServiceNames() {
		c := project.Services[name]
		if err := m.elsewhere(ctx, o, c); err != nil {
			return nil, fmt.Errorf("%s%s: %w", project.Sources.Where("services", name), name, err)
		}
		if err := m.service(project, c); err != nil {
			return nil, err
		}
	}
	if len(m.Logins) == 0 {
		return nil, errors.New("there is nothing to import: no service has ROOT_PASSWORD or DEVELOPER_PASSWORD; berth-provision up reads the file as it is")
	}
	m.NameUsers(func(u User) string { return u.Name })
	set(m.file.Content[0], compose.Extension, compose.ImportedFrom, m.From)
	return m, m.leftOver()
}

// elsewhere returns an error if a service gets passwords from another file, which
// this one includes or extends: they would stay there, and in the container.
func (m *Migration) elsewhere(ctx context.Context, o compose.Options, c types.ServiceConfig) error {
	const cure = "; merge the files first with docker compose config"
	if len(compose.PasswordsIn(c.Environment)) == 0 {
		return nil
	}
	_, node := compose.Child(m.file, "services", c.Name)
	if node == nil {
		return errors.New("its passwords stand in a file that this one includes" + cure)
	}
	_, _, extends := lookup(node, "extends")
	_, _, file := lookup(extends, "file")
	_, _, service := lookup(extends, "service")
	if file == nil || service == nil {
		return nil
	}
	o.Files = []string{m.path(file.Value)}
	base, err := compose.Load(ctx, o)
	if err != nil {
		return err
	}
	if len(compose.PasswordsIn(base.Services[service.Value].Environment)) > 0 {
		return fmt.Errorf("its passwords stand in %s, which it extends%s", file.Value, cure)
	}
	return nil
}

// service removes from a service what the gateway does from now on.
func (m *Migration) service(p *compose.Project, c types.ServiceConfig) error {
	settings, err := compose.SettingsOf(c, p.Sources)
	if err != nil {
		return err
	}
	_, node := compose.Child(m.file, "services", c.Name)
	if node == nil { // it comes from an included file, which has no passwords
		return nil
	}
	host, port := cmp.Or(settings.Host, c.Name), sshPortOf(c)
	for _, account := range []string{"developer", "root"} {
		password := c.Environment[strings.ToUpper(account)+"_PASSWORD"]
		switch {
		case password == nil:
		case *password == "":
			m.note("%s: %s has an empty password, and becomes no user", c.Name, account)
		default:
			m.Logins = append(m.Logins, Login{Host: host, Account: account, Port: port, service: c.Name, password: *password})
		}
	}
	drop(node, "ports", isSSHPort)
	drop(node, "environment", isPassword)
	drop(node, "volumes", isDockerSocket)
	for _, l := range m.Logins {
		if l.service == c.Name {
			m.keepHome(node, c, l.Account)
		}
	}
	if err := m.cleanEnvFiles(node, c); err != nil {
		return err
	}
	if c.Build != nil && len(compose.PasswordsIn(c.Environment)) > 0 {
		return m.ownImage(p, c, settings, node)
	}
	return nil
}

// ownImage replaces an image that was made for ssh and passwords by the host image on
// the same base.
func (m *Migration) ownImage(p *compose.Project, c types.ServiceConfig, s compose.Settings, node *yaml.Node) error {
	df, err := compose.DockerfileOf(c.Build)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	base := cmp.Or(s.Base, baseIn(string(df.Text)))
	if base == "" {
		return fmt.Errorf("%s: its Dockerfile names no base image; say which with %s.base", c.Name, compose.Extension)
	}
	if other := sharesBuild(p, c); other != "" {
		return fmt.Errorf("%s: its build is service %s's too, by a merge, and that has no passwords; give each its own build", c.Name, other)
	}
	remove(node, "build")
	if s.Base == "" && base != image.DefaultBase {
		set(node, compose.Extension, "base", base)
	}
	m.note("%s: its build gives way to Berth's host image on %s; what else the Dockerfile installs is not in it", c.Name, base)
	return nil
}

// baseIn returns the base of a Dockerfile's last stage; "" if that is a variable or
// another stage.
func baseIn(dockerfile string) string {
	base := ""
	for line := range strings.Lines(dockerfile) {
		if words := strings.Fields(line); len(words) > 1 && strings.EqualFold(words[0], "FROM") {
			base = words[1]
		}
	}
	if strings.Contains(base, "$") {
		return ""
	}
	return base
}

func (m *Migration) note(format string, args ...any) {
	m.Notes = append(m.Notes, fmt.Sprintf(format, args...))
}

func sshPortOf(c types.ServiceConfig) string {
	for _, p := range c.Ports {
		if p.Target == compose.SSHPort {
			return p.Published
		}
	}
	return ""
}

// Write writes the compose file under this name, gateway.yaml, and the other files
// that the compose file needs. It overwrites nothing.
func (m *Migration) Write(composeFile string) error {
	gateway, err := m.gateway()
	if err != nil {
		return err
	}
	spellNulls(m.file, false)
	var file bytes.Buffer
	encoder := yaml.NewEncoder(&file)
	encoder.SetIndent(2)
	if err := encoder.Encode(m.file); err != nil {
		return err
	}
	for name, env := range m.envFiles {
		if err := writeOnce(m.path(name), env.text, env.mode); err != nil {
			return err
		}
	}
	if err := writeOnce(m.path(composeFile), file.Bytes(), 0o644); err != nil {
		return err
	}
	return writeOnce(m.path(GatewayFile), gateway, 0o600)
}

// Rename renames the old file, in its directory, if the new name is free.
func (m *Migration) Rename(name string) error {
	if _, err := os.Lstat(m.path(name)); err == nil {
		return fmt.Errorf("%s is there already; move it away", compose.ShortPath(m.path(name)))
	}
	if err := os.Rename(m.path(m.From), m.path(name)); err != nil {
		return err
	}
	m.From = name
	set(m.file.Content[0], compose.Extension, compose.ImportedFrom, name)
	return nil
}

func (m *Migration) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(m.Dir, name)
}

func writeOnce(path string, text []byte, mode fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and not overwritten; move it away", compose.ShortPath(path))
	}
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// gateway returns gateway.yaml. Its names are valid in logins, so YAML needs no
// quotes for them.
func (m *Migration) gateway() ([]byte, error) {
	var text bytes.Buffer
	fmt.Fprintln(&text, "# The logins of a compose file, as berth-provision import found them. It belongs at\n# /etc/berth/gateway.yaml. Better than passwords: keys.\nusers:")
	written := map[string]bool{}
	for _, l := range m.Logins {
		if written[l.User] {
			continue
		}
		written[l.User] = true
		if err := errors.Join(auth.CheckName(l.User), auth.CheckName(l.Host)); err != nil {
			return nil, fmt.Errorf("%s on %s: %w", l.Account, l.Host, err)
		}
		hash, err := auth.HashPassword([]byte(l.password))
		if err != nil {
			return nil, fmt.Errorf("%s on %s: %w", l.Account, l.Host, err)
		}
		fmt.Fprintf(&text, "  %s:\n    password: %s\n    hosts:\n", l.User, hash)
		for _, other := range m.Logins {
			if other.User == l.User {
				fmt.Fprintf(&text, "      %q: %s\n", other.Host, other.Account)
			}
		}
	}
	return text.Bytes(), nil
}
