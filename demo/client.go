package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// client is the demo's own SSH client, for a machine without one.
type client struct{ *ssh.Client }

// dial logs in as "user@address" says, by the demo's password or by its key.
// The connection ends with ctx.
func (d *demo) dial(ctx context.Context, login string, byPassword bool) (client, error) {
	user, _, _ := strings.Cut(login, "@")
	config := &ssh.ClientConfig{User: user}
	if byPassword {
		config.Auth = []ssh.AuthMethod{ssh.Password(d.password)}
	} else {
		key, err := d.readKey()
		if err != nil {
			return client{}, err
		}
		config.Auth = []ssh.AuthMethod{ssh.PublicKeys(key)}
	}
	known, err := knownhosts.New(d.file(knownHostsFile))
	if err != nil {
		return client{}, err
	}
	config.HostKeyCallback = known
	gateway := net.JoinHostPort(address, d.port)
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", gateway)
	if err != nil {
		return client{}, err
	}
	context.AfterFunc(ctx, func() { raw.Close() })
	conn, channels, requests, err := ssh.NewClientConn(raw, gateway, config)
	if err != nil {
		raw.Close()
		return client{}, err
	}
	return client{ssh.NewClient(conn, channels, requests)}, nil
}

func (d *demo) readKey() (ssh.Signer, error) {
	text, err := os.ReadFile(d.file(keyFile))
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKey(text)
}

// output runs a command and returns what it printed on stdout. Where the command
// fails, it returns what is on stderr too.
func (c client) output(command string) (string, error) {
	session, err := c.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	var stdout, stderr bytes.Buffer
	session.Stdout, session.Stderr = &stdout, &stderr
	if err := session.Run(command); err != nil {
		return stdout.String() + stderr.String(), err
	}
	return stdout.String(), nil
}

// send copies a file to a path in the host, as scp does today: over sftp.
func (c client) send(from, to string) error {
	files, err := sftp.NewClient(c.Client)
	if err != nil {
		return err
	}
	defer files.Close()
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := files.Create(to)
	if err != nil {
		return fmt.Errorf("%s: %w", to, err)
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// fetch copies a file from a path in the host.
func (c client) fetch(from, to string) error {
	files, err := sftp.NewClient(c.Client)
	if err != nil {
		return err
	}
	defer files.Close()
	source, err := files.Open(from)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
