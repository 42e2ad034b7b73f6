package clients

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

const matrixPassword = "correct horse 1"

// matrix is a container whose doors any password or key of TestClients opens.
type matrix struct {
	harness.Container
	gateway  *harness.Gateway
	keys     map[string]string // files, by type
	targets  []matrixTarget
	echoPort string // of an echo server in the container
}

// matrixTarget is a door as clients that read no ssh_config need it.
type matrixTarget struct {
	harness.Target
	host, port  string
	fingerprint string
	otherKeys   string // file of known hosts, for clients that know no ed25519
}

func startMatrix(t *testing.T) matrix {
	c := harness.StartContainer(t)
	installInHost(t, c)
	keys := map[string]string{"ed25519": c.Key}
	var public []string
	for _, kind := range auths[1:] {
		if keys[kind] == "" {
			keys[kind] = filepath.Join(c.Dir, kind)
			harness.Must(t, exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", keys[kind]))
		}
		public = append(public, harness.PublicKey(t, keys[kind]))
	}
	g := harness.StartGateway(t, c.Dir, matrixConfig(t, c, public))
	targets := []matrixTarget{
		newMatrixTarget(t, c.Dir, "relay", g.Door("dev+"+c.Host, c.Key)),
		newMatrixTarget(t, c.Dir, "exec", g.Door("dev+lab", c.Key)),
	}
	if os.Getenv(harness.EnvClients) != "" { // what the gateway's doors are held to
		targets = append(targets, newMatrixTarget(t, c.Dir, "sshd", openSSHD(t, c, public)))
	}
	return matrix{c, g, keys, targets, startEcho(t, c)}
}

// installInHost installs what the chosen clients run there.
func installInHost(t *testing.T, c harness.Container) {
	for _, client := range chosenClients() {
		if client.inHost != "" {
			c.Run(t, "sh", "-c", "apt-get -q update && apt-get -qy install --no-install-recommends "+client.inHost)
		}
	}
}

func matrixConfig(t *testing.T, c harness.Container, keys []string) string {
	var stepped strings.Builder
	for _, client := range chosenClients() {
		if client.codes {
			fmt.Fprintf(&stepped, "  %s: { keys: [ %s ], groups: [ stepped ], hosts: { %s: developer, lab: developer } }\n", codeUser(client), strings.Join(keys, ", "), c.Host)
		}
	}
	return fmt.Sprintf(`
login: [ { groups: [ stepped ], with: [ key+totp ] } ]
groups: { stepped: }
users:
  dev:
    password: %s
    keys: [ %s ]
    hosts: { %s: developer, lab: developer }
%shosts:
  lab: { route: exec, container: %s, account: developer }
`, harness.HashOf(t, matrixPassword), strings.Join(keys, ", "), c.Host, stepped.String(), c.Name)
}

// openSSHD starts a second sshd in the container, which knows the keys and the
// password itself.
func openSSHD(t *testing.T, c harness.Container, keys []string) harness.Door {
	t.Helper()
	c.Run(t, "sh", "-c", harness.Read(t, "testdata/sshd.sh"), "sh", matrixPassword, strings.Join(keys, "\n"))
	address := net.JoinHostPort(c.Address(t), "2200")
	harness.Eventually(t, "the container's second sshd", func() bool { return harness.Answers(address) })
	knownHosts := filepath.Join(c.Dir, "second.known_hosts")
	harness.Write(t, knownHosts, 0o600, "["+c.Address(t)+"]:2200 "+c.Run(t, "cat", "/etc/ssh/ssh_host_ed25519_key.pub"))
	return harness.Door{Address: address, Login: "developer", Key: c.Key, KnownHosts: knownHosts}
}

func newMatrixTarget(t *testing.T, dir, name string, to harness.Door) matrixTarget {
	t.Helper()
	host, port, _ := net.SplitHostPort(to.Address)
	fingerprint := strings.Fields(harness.Must(t, exec.Command("ssh-keygen", "-l", "-f", to.KnownHosts)))[1]
	others := filepath.Join(dir, name+".other_known_hosts")
	harness.Write(t, others, 0o600, harness.Must(t, exec.Command("ssh-keyscan", "-t", "ecdsa,rsa", "-T", "60", "-p", port, host)))
	return matrixTarget{harness.NewTarget(t, dir, name, to), host, port, fingerprint, others}
}

// startEcho starts an echo server in the container, which lives as long as the
// container, and returns its port.
func startEcho(t *testing.T, c harness.Container) string {
	t.Helper()
	return harness.StartServer(t, exec.Command("docker", "exec", "-i", c.Name, "python3", "-c", harness.ServerProgram("echo.py")))
}
