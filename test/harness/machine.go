package harness

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

// Machine is this machine with its doors.
type Machine struct {
	Gateway            *Gateway
	SSHD, Relay, Local Target
}

// Targets returns all of its doors.
func (m Machine) Targets() []Target {
	return withOracle(m.SSHD.Door, m.SSHD, m.Relay, m.Local)
}

// Doors returns those of the gateway.
func (m Machine) Doors() []Target { return []Target{m.Relay, m.Local} }

// StartMachine starts the doors; settings are additional lines of gateway.yaml.
func StartMachine(t *testing.T, settings ...string) Machine {
	t.Helper()
	return StartMachineBy(t, PlainHome, settings...)
}

// StartMachineBy is StartMachine with a Runner for the gateway.
func StartMachineBy(t *testing.T, by Runner, settings ...string) Machine {
	t.Helper()
	Need(t, "/usr/sbin/sshd", "ssh", "ssh-keygen")
	dir := t.TempDir()
	key := MakeKey(t, dir, "id")
	door := startSSHD(t, dir, key)
	gateway := StartGatewayBy(t, dir, fmt.Sprintf(`
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
`, PublicKey(t, key), door.Login, door.Address, key, PublicKey(t, filepath.Join(dir, "sshd_key")), strings.Join(settings, "\n")), by)
	return Machine{
		Gateway: gateway,
		SSHD:    NewTarget(t, dir, "sshd", door),
		Relay:   gateway.Target(t, "relay", "dev+relay", key),
		Local:   gateway.Target(t, "local", "dev+box", key),
	}
}

// startSSHD starts a bare sshd that serves the current user.
func startSSHD(t *testing.T, dir, key string) Door {
	t.Helper()
	own, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	os.MkdirAll("/run/sshd", 0o755) // sshd of root wants it
	hostKey := MakeKey(t, dir, "sshd_key")
	address := FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	config := filepath.Join(dir, "sshd_config")
	Write(t, config, 0o600, fmt.Sprintf(`
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
StreamLocalBindUnlink yes
MaxSessions 100
MaxStartups 100:30:200
PrintMotd no
X11Forwarding yes
LogLevel ERROR
PrintLastLog no
`, port, hostKey, key))
	command := PlainHome("/usr/sbin/sshd", "-D", "-e", "-f", config)
	StartLogged(t, command, filepath.Join(dir, "sshd.log"))
	Eventually(t, "sshd", func() bool { return Answers(address) })
	knownHosts := filepath.Join(dir, "sshd.known_hosts")
	Write(t, knownHosts, 0o600, fmt.Sprintf("[127.0.0.1]:%s %s\n", port, PublicKey(t, hostKey)))
	return Door{address, own.Username, key, knownHosts}
}

// PlainHome returns a command that sees an empty home directory, since some sessions
// would print output of ~/.bashrc. Only root can do that; the command's own directory
// stays visible if it is in the home. The command is started as by nohup, which must
// make no difference.
func PlainHome(name string, args ...string) *exec.Cmd {
	if os.Getuid() != 0 {
		return exec.Command(name, args...)
	}
	script := `trap "" HUP; exec 9<"$0"; mount -t tmpfs home "$HOME" && if ! [ -e "$0" ]; then mkdir -p "$0" && mount -c --bind /proc/self/fd/9 "$0"; fi && exec 9<&- "$@"`
	return exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, filepath.Dir(name), name}, args...)...)
}

// FreeAddress returns an address with a port that the kernel gives to no outgoing
// connection, and that no other test gets, of any package: the number is reserved as
// the name of a socket.
func FreeAddress(t *testing.T) string {
	t.Helper()
	for {
		port := 10_000 + rand.IntN(20_000)
		reservation, err := net.Listen("unix", fmt.Sprintf("@berth-test-port-%d", port))
		if err != nil {
			continue
		}
		t.Cleanup(func() { reservation.Close() })
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if listener, err := net.Listen("tcp", address); err == nil {
			listener.Close()
			return address
		}
	}
}

// FreePort returns the port of a FreeAddress.
func FreePort(t *testing.T) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(FreeAddress(t))
	return port
}

// Answers reports whether something listens at an address.
func Answers(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
