package demo

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"berth/auth"
	"berth/screen"
	"berth/state"
)

// demo is a gateway with two hosts, all of it in a directory of its own.
type demo struct {
	show *screen.Screen
	dir  string

	listener net.Listener // holds the port until the gateway takes it
	port     string

	password string
	hosts    []host
}

const (
	userName  = "dev"
	address   = "127.0.0.1"
	firstPort = 2222
	lastPort  = 2299

	keyFile        = "id_ed25519"
	knownHostsFile = "known_hosts"
	sshConfigFile  = "ssh_config"
	passwordFile   = "password"
	askpassFile    = "askpass"
	dataFile       = "data"
	stateDir       = "state"
	configFile     = "gateway.yaml"
	logFile        = "gateway.log"

	dataSize = 4 << 20
)

// newDemo makes everything but the hosts.
func newDemo(show *screen.Screen) (*demo, error) {
	dir, err := os.MkdirTemp("", "berth-demo-")
	if err != nil {
		return nil, err
	}
	d := &demo{show: show, dir: dir, password: strings.ToLower(rand.Text()[:16])}
	if err := errors.Join(d.takePort(), d.writeFiles()); err != nil {
		return nil, errors.Join(err, d.remove())
	}
	return d, nil
}

func (d *demo) remove() error {
	if d.listener != nil {
		d.listener.Close()
	}
	return os.RemoveAll(d.dir)
}

func (d *demo) file(name string) string { return filepath.Join(d.dir, name) }

// takePort takes the usual port, or the next one that is free.
func (d *demo) takePort() error {
	for port := firstPort; port <= lastPort; port++ {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err != nil {
			continue
		}
		d.listener, d.port = listener, strconv.Itoa(port)
		if port != firstPort {
			d.show.Comment("port %d is taken; this is port %d", firstPort, port)
		}
		return nil
	}
	return fmt.Errorf("no port from %d to %d is free on %s", firstPort, lastPort, address)
}

func (d *demo) writeFiles() error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	key, err := ssh.MarshalPrivateKey(private, "berth demo")
	if err != nil {
		return err
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		return err
	}
	st, err := state.Open(d.file(stateDir))
	if err != nil {
		return err
	}
	data := make([]byte, dataSize)
	rand.Read(data)
	known := []string{net.JoinHostPort(address, d.port)}
	return errors.Join(
		d.write(keyFile, pem.EncodeToMemory(key), 0o600),
		d.write(keyFile+".pub", ssh.MarshalAuthorizedKey(public), 0o644),
		d.write(knownHostsFile, []byte(knownhosts.Line(known, st.HostKey().PublicKey())+"\n"), 0o600),
		d.write(sshConfigFile, []byte(d.sshConfig()), 0o600),
		d.write(passwordFile, []byte(d.password+"\n"), 0o600),
		d.write(askpassFile, []byte("#!/bin/sh\ncat '"+d.file(passwordFile)+"'\n"), 0o700),
		d.write(dataFile, data, 0o600),
	)
}

func (d *demo) write(name string, data []byte, mode fs.FileMode) error {
	return os.WriteFile(d.file(name), data, mode)
}

// sshConfig replaces the person's own, which may hold anything.
func (d *demo) sshConfig() string {
	return fmt.Sprintf(`IdentityFile %s
IdentitiesOnly yes
IdentityAgent none
PreferredAuthentications publickey
NumberOfPasswordPrompts 1
UserKnownHostsFile %s
GlobalKnownHostsFile none
StrictHostKeyChecking yes
LogLevel ERROR
`, d.file(keyFile), d.file(knownHostsFile))
}

// writeConfig writes the gateway.yaml for the hosts that were made.
func (d *demo) writeConfig() error {
	hash, err := auth.HashPassword([]byte(d.password))
	if err != nil {
		return err
	}
	public, err := os.ReadFile(d.file(keyFile + ".pub"))
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "listen: %s:%s\nstate: %s\nusers:\n  %s:\n    password: %s\n    keys:\n      - %s    hosts:\n",
		address, d.port, d.file(stateDir), userName, hash, public)
	for _, h := range d.hosts {
		fmt.Fprintf(&b, "      %s: %s\n", h.name, h.account)
	}
	fmt.Fprintln(&b, "hosts:")
	for _, h := range d.hosts {
		fmt.Fprintf(&b, "  %s: %s\n", h.name, h.entry)
	}
	return d.write(configFile, []byte(b.String()), 0o600)
}
