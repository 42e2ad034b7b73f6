package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"berth/auth"
	"berth/image"
	"berth/provision/compose"
)

// What import writes, beside the file that it reads: there the project keeps
// its name, and so its volumes.
const (
	importedCompose = "compose.berth.yaml"
	importedGateway = "gateway.yaml"
)

func importCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "import",
		Short: "Make " + importedCompose + " and " + importedGateway + " of a compose file with ssh ports and passwords",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := newImport(cmd.Context(), o.load)
			if err != nil {
				return err
			}
			if err := i.write(); err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), i.table())
			return nil
		},
	}
}

// imported is what becomes of a compose file.
type imported struct {
	dir    string
	file   *yaml.Node
	logins []login
	notes  []string
}

// login is a way in of old: an account with a password on a host's own port.
type login struct {
	host, account, password string
	port                    string // "" where none was published
	user                    string // the gateway's, from now on
}

func newImport(ctx context.Context, o compose.Options) (*imported, error) {
	project, err := compose.Load(ctx, o)
	if err != nil {
		return nil, err
	}
	if len(project.Sources) != 1 {
		return nil, errors.New("import reads one compose file; merge them first with docker compose config")
	}
	i := &imported{dir: project.WorkingDir, file: project.Sources[0].Root}
	for _, name := range project.ServiceNames() {
		if err := i.service(project, project.Services[name]); err != nil {
			return nil, err
		}
	}
	i.nameUsers()
	if len(i.logins) == 0 {
		return nil, errors.New("there is nothing to import: no service has ROOT_PASSWORD or DEVELOPER_PASSWORD; provision up reads the file as it is")
	}
	return i, nil
}

// service takes out of a service what the gateway does from now on.
func (i *imported) service(p *compose.Project, c types.ServiceConfig) error {
	settings, err := compose.SettingsOf(c, p.Sources)
	if err != nil {
		return err
	}
	_, node := compose.Child(i.file, "services", c.Name)
	if node == nil {
		return fmt.Errorf("%s: it comes from another file by include or extends; merge them first with docker compose config", c.Name)
	}
	host, port := cmp.Or(settings.Host, c.Name), sshPortOf(c)
	for _, account := range []string{"developer", "root"} {
		password := c.Environment[strings.ToUpper(account)+"_PASSWORD"]
		switch {
		case password == nil:
		case *password == "":
			i.note("%s: %s has an empty password, and becomes no user", c.Name, account)
		default:
			i.logins = append(i.logins, login{host: host, account: account, password: *password, port: port})
		}
	}
	drop(node, "ports", isSSHPort)
	drop(node, "environment", isPassword)
	drop(node, "volumes", isDockerSocket)
	if c.Build != nil && len(compose.PasswordsIn(c.Environment)) > 0 {
		return i.ownImage(c, settings, node)
	}
	return nil
}

// ownImage: an image made for ssh and passwords gives way to the host image on
// the same base.
func (i *imported) ownImage(c types.ServiceConfig, s compose.Settings, node *yaml.Node) error {
	df, err := compose.DockerfileOf(c.Build)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	base := cmp.Or(s.Base, baseIn(string(df.Text)))
	if base == "" {
		return fmt.Errorf("%s: its Dockerfile names no base image; say which with %s.base", c.Name, compose.Extension)
	}
	remove(node, "build")
	if s.Base == "" && base != image.DefaultBase {
		set(node, compose.Extension, "base", base)
	}
	i.note("%s: its build gives way to Berth's host image on %s; what else the Dockerfile installs is not in it", c.Name, base)
	return nil
}

// baseIn is what the last stage of a Dockerfile starts from, where it is no
// variable and no other stage.
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

func (i *imported) note(format string, args ...any) {
	i.notes = append(i.notes, fmt.Sprintf(format, args...))
}

// nameUsers: an account with one password everywhere is one user; with several
// it is one for each host.
func (i *imported) nameUsers() {
	for k, l := range i.logins {
		differs := slices.ContainsFunc(i.logins, func(other login) bool {
			return other.account == l.account && other.password != l.password
		})
		i.logins[k].user = l.account
		if differs {
			i.logins[k].user = l.account + "-" + l.host
		}
	}
}

func sshPortOf(c types.ServiceConfig) string {
	for _, p := range c.Ports {
		if p.Target == compose.SSHPort {
			return p.Published
		}
	}
	return ""
}

func (i *imported) write() error {
	gateway, err := i.gateway()
	if err != nil {
		return err
	}
	var file bytes.Buffer
	encoder := yaml.NewEncoder(&file)
	encoder.SetIndent(2)
	if err := encoder.Encode(i.file); err != nil {
		return err
	}
	for _, l := range i.logins { // by an alias, say, or in a comment
		if strings.Contains(file.String(), l.password) {
			return fmt.Errorf("the password of %s on %s stands in another place of the file too; take it out there first", l.account, l.host)
		}
	}
	if err := writeOnce(filepath.Join(i.dir, importedCompose), file.Bytes(), 0o644); err != nil {
		return err
	}
	return writeOnce(filepath.Join(i.dir, importedGateway), gateway, 0o600)
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

// gateway is gateway.yaml. Names in it are a login's, which YAML needs no
// quotes for.
func (i *imported) gateway() ([]byte, error) {
	var text bytes.Buffer
	fmt.Fprintln(&text, "# The logins of a compose file, as provision import found them. It belongs at\n# /etc/berth/gateway.yaml. Better than passwords: keys.\nusers:")
	written := map[string]bool{}
	for _, l := range i.logins {
		if written[l.user] {
			continue
		}
		written[l.user] = true
		if err := errors.Join(auth.CheckName(l.user), auth.CheckName(l.host)); err != nil {
			return nil, fmt.Errorf("%s on %s: %w", l.account, l.host, err)
		}
		hash, err := auth.HashPassword([]byte(l.password))
		if err != nil {
			return nil, fmt.Errorf("%s on %s: %w", l.account, l.host, err)
		}
		fmt.Fprintf(&text, "  %s:\n    password: %s\n    hosts:\n", l.user, hash)
		for _, other := range i.logins {
			if other.user == l.user {
				fmt.Fprintf(&text, "      %q: %s\n", other.host, other.account)
			}
		}
	}
	return text.Bytes(), nil
}

// table says how people came in, and how they come in now.
func (i *imported) table() string {
	rows := [][]string{{"PORT", "HOST", "BEFORE", "NOW"}}
	for _, l := range i.logins {
		before := "-"
		if l.port != "" {
			before = fmt.Sprintf("ssh -p %s %s@box", l.port, l.account)
		}
		rows = append(rows, []string{cmp.Or(l.port, "-"), "+" + l.host, before, fmt.Sprintf("ssh -p 2222 %s+%s@box", l.user, l.host)})
	}
	text := table(rows)
	for _, note := range i.notes {
		text += note + "\n"
	}
	here := func(name string) string { return compose.ShortPath(filepath.Join(i.dir, name)) }
	return text + fmt.Sprintf("next: provision up -f %s, and gateway serve --config %s\n", here(importedCompose), here(importedGateway))
}
