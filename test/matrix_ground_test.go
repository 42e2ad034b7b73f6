package test

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const matrixPassword = "correct horse 1"

// matrix is a container whose doors any password or key of TestClients opens.
type matrix struct {
	container
	keys     map[string]string // files, by type
	targets  []matrixTarget
	echoPort string // of an echo server in the container
}

// matrixTarget is a door as clients that read no ssh_config need it.
type matrixTarget struct {
	target
	host, port  string
	fingerprint string
}

func startMatrix(t *testing.T) matrix {
	c := startContainer(t)
	keys := map[string]string{"ed25519": c.key}
	var public []string
	for _, kind := range auths[1:] {
		if keys[kind] == "" {
			keys[kind] = filepath.Join(c.dir, kind)
			must(t, exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", keys[kind]))
		}
		public = append(public, publicKey(t, keys[kind]))
	}
	g := startGateway(t, c.dir, c.matrixConfig(t, public))
	targets := []matrixTarget{
		newMatrixTarget(t, c.dir, "relay", door{g.address, "dev+" + c.host, c.key, g.knownHosts()}),
		newMatrixTarget(t, c.dir, "exec", door{g.address, "dev+lab", c.key, g.knownHosts()}),
	}
	if everything() { // what the gateway's doors are held to
		targets = append(targets, newMatrixTarget(t, c.dir, "sshd", c.openSshd(t, public)))
	}
	return matrix{c, keys, targets, c.startEcho(t)}
}

func (c container) matrixConfig(t *testing.T, keys []string) string {
	return fmt.Sprintf(`
users:
  dev:
    password: %s
    keys: [ %s ]
    hosts: { %s: developer, lab: developer }
hosts:
  lab: { route: exec, container: %s, account: developer }
`, hashOf(t, matrixPassword), strings.Join(keys, ", "), c.host, c.name)
}

// openSshd starts a second sshd in the container, which knows the keys and the
// password itself.
func (c container) openSshd(t *testing.T, keys []string) door {
	t.Helper()
	c.run(t, "sh", "-c", fmt.Sprintf(`set -e
		echo 'developer:%s' | chpasswd
		printf '%%s\n' '%s' >/etc/ssh/matrix_keys
		/usr/sbin/sshd -f /dev/null -p 2200 -h /etc/ssh/ssh_host_ed25519_key -o PidFile=none \
			-o AuthorizedKeysFile=/etc/ssh/matrix_keys -o PasswordAuthentication=yes -o UsePAM=no -o PrintMotd=no \
			-o PrintLastLog=no -o MaxStartups=100 -o MaxSessions=100 -o 'Subsystem=sftp internal-sftp'`,
		matrixPassword, strings.Join(keys, "' '")))
	address := net.JoinHostPort(c.address(t), "2200")
	await(t, "the container's second sshd", func() bool { return answers(address) })
	knownHosts := filepath.Join(c.dir, "second.known_hosts")
	write(t, knownHosts, 0o600, "["+c.address(t)+"]:2200 "+c.run(t, "cat", "/etc/ssh/ssh_host_ed25519_key.pub"))
	return door{address, "developer", c.key, knownHosts}
}

func newMatrixTarget(t *testing.T, dir, name string, to door) matrixTarget {
	t.Helper()
	host, port, _ := net.SplitHostPort(to.address)
	fingerprint := strings.Fields(must(t, exec.Command("ssh-keygen", "-l", "-f", to.knownHosts)))[1]
	return matrixTarget{newTarget(t, dir, name, to), host, port, fingerprint}
}

// startEcho starts an echo server in the container, which lives as long as the
// container, and returns its port.
func (c container) startEcho(t *testing.T) string {
	t.Helper()
	return startServer(t, exec.Command("docker", "exec", "-i", c.name, "python3", "-c", read(t, "testdata/echo.py")))
}
