package demo

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/screen"
	"github.com/berth-ssh/berth/state"
)

// demo is a gateway with two hosts, all of it in a directory of its own.
type demo struct {
	show *screen.Screen
	dir  string

	listener net.Listener // holds the port until the gateway takes it
	port     string

	password string
	tools    tools
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

// newDemo makes the directory with all files, and takes a port. makeHosts makes
// the hosts.
func newDemo(show *screen.Screen) (*demo, error) {
	dir, err := makeDir()
	if err != nil {
		return nil, err
	}
	d := &demo{show: show, dir: dir, password: strings.ToLower(rand.Text()[:16])}
	if err := errors.Join(d.takePort(), d.writeFiles()); err != nil {
		return nil, errors.Join(err, d.remove())
	}
	return d, nil
}

// makeDir makes the demo's directory: where TMPDIR says, if that will do.
func makeDir() (string, error) {
	parents := []string{os.TempDir(), "/tmp", "/var/tmp"}
	if self, err := os.Executable(); err == nil { // programs can be run there
		parents = append(parents, filepath.Dir(self))
	}
	var why error
	for _, parent := range parents {
		dir, err := tryDir(parent)
		if err == nil {
			return dir, nil
		}
		why = cmp.Or(why, err)
	}
	return "", fmt.Errorf("the demo has no directory to work in: %w; set TMPDIR to another", why)
}

// tryDir makes a directory in parent, in which programs can be run and whose
// path is what ssh_config and a shell take.
func tryDir(parent string) (string, error) {
	parent, err := filepath.Abs(parent)
	if err != nil {
		return "", err
	}
	if strings.ContainsFunc(parent, isOdd) {
		return "", fmt.Errorf("%q has unusual characters in it", parent)
	}
	dir, err := os.MkdirTemp(parent, "berth-demo-")
	if err != nil {
		return "", err
	}
	try := filepath.Join(dir, "try")
	err = os.WriteFile(try, []byte("#!/bin/sh\n"), 0o700)
	if err == nil {
		err = exec.Command(try).Run()
	}
	if err != nil {
		os.RemoveAll(dir)
		return "", err
	}
	return dir, os.Remove(try)
}

// isOdd reports whether a character means something to ssh_config or a shell
// even between quotes.
func isOdd(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/._-+,=@~ ", r)
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
		d.write(askpassFile, []byte("#!/bin/sh\nread -r password <"+screen.Quote(d.file(passwordFile))+"\necho \"$password\"\n"), 0o700),
		d.write(dataFile, data, 0o600),
	)
}

func (d *demo) write(name string, data []byte, mode fs.FileMode) error {
	return os.WriteFile(d.file(name), data, mode)
}

// sshConfig is used in place of ~/.ssh/config, which may contain anything.
func (d *demo) sshConfig() string {
	return fmt.Sprintf(`IdentityFile "%s"
IdentitiesOnly yes
IdentityAgent none
PreferredAuthentications publickey
NumberOfPasswordPrompts 1
UserKnownHostsFile "%s"
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
	fmt.Fprintf(&b, "listen: %s:%s\nstate: %q\nusers:\n  %s:\n    password: %s\n    keys:\n      - %s    hosts:\n",
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
