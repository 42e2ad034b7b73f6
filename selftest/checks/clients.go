package checks

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/berth-ssh/berth/screen"
)

// clients are the OpenSSH programs of this machine, with a configuration that
// replaces the person's own.
type clients struct{ dir string }

const (
	hostAlias = "berth-selftest" // the host's name in that configuration

	keyFile        = "id_ed25519"
	knownHostsFile = "known_hosts"
	sshConfigFile  = "ssh_config"
	dataFile       = "data"

	dataSize = 4 << 20
)

func newClients(target Target) (clients, error) {
	dir, err := os.MkdirTemp("", "berth-selftest-")
	if err != nil {
		return clients{}, err
	}
	c := clients{dir}
	if err := c.write(target); err != nil {
		os.RemoveAll(dir)
		return clients{}, err
	}
	return c, nil
}

func (c clients) file(name string) string { return filepath.Join(c.dir, name) }

func (c clients) write(target Target) error {
	key, err := ssh.MarshalPrivateKey(target.Key, "berth selftest")
	if err != nil {
		return err
	}
	address, port, err := net.SplitHostPort(target.Address)
	if err != nil {
		return err
	}
	config := fmt.Sprintf(`Host %s
HostName %s
Port %s
User %s
IdentityFile %s
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile %s
GlobalKnownHostsFile none
StrictHostKeyChecking yes
BatchMode yes
LogLevel ERROR
`, hostAlias, address, port, target.User, c.file(keyFile), c.file(knownHostsFile))
	known := knownhosts.Line([]string{target.Address}, target.HostKey) + "\n"
	return errors.Join(
		os.WriteFile(c.file(keyFile), pem.EncodeToMemory(key), 0o600),
		os.WriteFile(c.file(knownHostsFile), []byte(known), 0o600),
		os.WriteFile(c.file(sshConfigFile), []byte(config), 0o600),
		os.WriteFile(c.file(dataFile), randomData(dataSize), 0o600),
	)
}

// randomData is not compressible, and quick to make.
func randomData(size int) []byte {
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(data)
	return data
}

// command is one of the programs with its configuration.
func (c clients) command(ctx context.Context, program string, args ...string) (*exec.Cmd, error) {
	if _, err := exec.LookPath(program); err != nil {
		return nil, Skipped("there is no " + program + " on this machine")
	}
	config := []string{"-F", c.file(sshConfigFile)}
	if program == "rsync" {
		config = []string{"-e", "ssh -F " + screen.Quote(c.file(sshConfigFile))}
	}
	command := exec.CommandContext(ctx, program, append(config, args...)...)
	command.Dir = c.dir
	command.WaitDelay = time.Second
	return command, nil
}

// run runs one of the programs; its error is what it complained of.
func (c clients) run(ctx context.Context, program string, args ...string) error {
	command, err := c.command(ctx, program, args...)
	if err != nil {
		return err
	}
	out, err := command.CombinedOutput()
	if err == nil {
		return nil
	}
	if said := oneLine(string(out)); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return fmt.Errorf("%s: %w", program, err)
}

// compare says whether a file came back as the data file is.
func (c clients) compare(name string) error {
	sent, err := os.ReadFile(c.file(dataFile))
	if err != nil {
		return err
	}
	got, err := os.ReadFile(c.file(name))
	if err != nil {
		return err
	}
	if !bytes.Equal(sent, got) {
		return failed(fmt.Sprintf("the %d bytes that were sent", len(sent)), fmt.Sprintf("%d others", len(got)), "")
	}
	return nil
}

// remote is a path in the host as scp and rsync write it.
func remote(path string) string { return strings.Join([]string{hostAlias, path}, ":") }
