package test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// TestMachine tries the doors of this machine.
func TestMachine(t *testing.T) {
	need(t, "/usr/sbin/sshd", "ssh", "ssh-keygen")
	m := startMachine(t)
	suite(t, []target{m.sshd, m.relay, m.local})
	guards(t, m.doors())
}

// machine is this machine with its doors.
type machine struct {
	gateway            *gateway
	sshd, relay, local target
}

// doors are the gateway's.
func (m machine) doors() []target { return []target{m.relay, m.local} }

// startMachine starts its doors; settings are more lines of gateway.yaml.
func startMachine(t *testing.T, settings ...string) machine {
	t.Helper()
	dir := t.TempDir()
	key := makeKey(t, dir, "id")
	door := startSshd(t, dir, key)
	gateway := startGateway(t, dir, fmt.Sprintf(`
users:
  dev:
    keys: [ %s ]
    hosts: { relay: %s, box: }
hosts:
  relay:
    route: sshd
    address: %s
    key_file: %s
    host_key: %s
  box:
    route: local
%s
`, publicKey(t, key), door.login, door.address, key, publicKey(t, filepath.Join(dir, "sshd_key")), strings.Join(settings, "\n")))
	return machine{
		gateway: gateway,
		sshd:    newTarget(t, dir, "sshd", door),
		relay:   gateway.target(t, "relay", "dev+relay", key),
		local:   gateway.target(t, "local", "dev+box", key),
	}
}

// startSshd starts a bare sshd that serves the current user.
func startSshd(t *testing.T, dir, key string) door {
	t.Helper()
	own, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	os.MkdirAll("/run/sshd", 0o755) // sshd of root wants it
	hostKey := makeKey(t, dir, "sshd_key")
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	config := filepath.Join(dir, "sshd_config")
	write(t, config, 0o600, fmt.Sprintf(`
ListenAddress 127.0.0.1
Port %s
HostKey %s
PidFile none
AuthorizedKeysFile %s.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
AcceptEnv LANG LC_*
Subsystem sftp /usr/lib/openssh/sftp-server
MaxSessions 100
MaxStartups 100:30:200
PrintMotd no
X11Forwarding yes
LogLevel ERROR
PrintLastLog no
`, port, hostKey, key))
	command := plainHome("/usr/sbin/sshd", "-D", "-e", "-f", config)
	startLogged(t, command, filepath.Join(dir, "sshd.log"))
	await(t, "sshd", func() bool { return answers(address) })
	knownHosts := filepath.Join(dir, "sshd.known_hosts")
	write(t, knownHosts, 0o600, fmt.Sprintf("[127.0.0.1]:%s %s\n", port, publicKey(t, hostKey)))
	return door{address, own.Username, key, knownHosts}
}

// plainHome is a command that sees an empty home directory, if this is root,
// who may make it so: what is in ~/.bashrc would be printed by some sessions.
// It is started as by nohup, which is to change nothing.
func plainHome(name string, args ...string) *exec.Cmd {
	if os.Getuid() != 0 {
		return exec.Command(name, args...)
	}
	script := `trap "" HUP; mount -t tmpfs home "$HOME" && exec "$@"`
	return exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, "sh", name}, args...)...)
}

// freeAddress has a port that the kernel gives to no outgoing connection: one
// of a parallel test, or one in the container, could be in the way.
func freeAddress(t *testing.T) string {
	t.Helper()
	for {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		if listener, err := net.Listen("tcp", address); err == nil {
			listener.Close()
			return address
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(freeAddress(t))
	return port
}

func answers(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
