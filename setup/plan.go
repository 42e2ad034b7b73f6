package setup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/packaging"
)

// Plan is what a gateway.yaml is to say: one person, who may enter everything.
type Plan struct {
	User       string
	Keys       []Key
	Containers []Container
	Listen     string // "": the default
	Engine     string // as in DOCKER_HOST; "": the default
}

// check says what is missing.
func (p Plan) check() error {
	if err := auth.CheckName(p.User); err != nil {
		return fmt.Errorf("user: %w", err)
	}
	if len(p.Keys) == 0 {
		return fmt.Errorf("no public key of %s is here; give one with --key FILE, or make one with ssh-keygen", p.User)
	}
	return nil
}

// text is the file.
func (p Plan) text() string {
	var b strings.Builder
	b.WriteString("# Who may enter which host through the gateway of this box.\n" +
		"#\n" +
		"# berth-gateway init wrote it, from what ran here. It is yours to edit; after a\n" +
		"# change run: berth-gateway check\n")
	if p.Listen != "" {
		fmt.Fprintf(&b, "listen: %s\n", strconv.Quote(p.Listen))
	}
	if p.Engine != "" {
		fmt.Fprintf(&b, "docker: %s\n", strconv.Quote(p.Engine))
	}
	fmt.Fprintf(&b, "\nusers:\n  %s:\n    keys:\n", p.User)
	for _, key := range p.Keys {
		fmt.Fprintf(&b, "      - %s\n", key.Line)
	}
	p.grants(&b)
	p.hosts(&b)
	return b.String()
}

func (p Plan) grants(b *strings.Builder) {
	if len(p.Containers) == 0 {
		b.WriteString("    # The hosts that this user may enter. There were none; a host is named here\n" +
			"    # and, unless berth-provision created it, described below.\n" +
			"    hosts:\n    #   web:\n\n# hosts:\n#   web:\n#     route: exec\n#     container: web # as docker ps shows it\n")
		return
	}
	b.WriteString("    # The hosts that this user may enter. NAME: ACCOUNT names the account inside;\n" +
		"    # without ACCOUNT it is the one that the container runs as.\n" +
		"    hosts:\n")
	for _, c := range p.Containers {
		fmt.Fprintf(b, "      %s:\n", c.Host)
	}
}

// hosts describes the containers that do not describe themselves.
func (p Plan) hosts(b *strings.Builder) {
	heading := "\n# Containers that berth-provision did not create.\nhosts:\n"
	for _, c := range p.Containers {
		if !c.Labelled {
			fmt.Fprintf(b, "%s  %s:\n    route: exec\n    container: %s\n", heading, c.Host, strconv.Quote(c.Name))
			heading = ""
		}
	}
}

// CanWrite returns the error that [Write] would return because of what is there:
// a file that a person wrote. What the packages install is none.
func CanWrite(path string) error {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !bytes.Equal(text, packaging.FirstConfig):
		return fmt.Errorf("%s exists, and is not replaced: edit it, then run: berth-gateway check", path)
	}
	return nil
}

// Write writes the file of a plan, whole or not at all, with mode 0600, and only
// if the gateway would take it.
func Write(path string, p Plan) error {
	if err := CanWrite(path); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".gateway.yaml-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(p.text())
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if _, err := config.Load(tmp.Name()); err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return os.Rename(tmp.Name(), path)
	}
	return os.Link(tmp.Name(), path) // fails where somebody was first
}
