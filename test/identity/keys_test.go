package identity

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// The options of a key as people meet them with OpenSSH's own clients, on both
// mechanisms.
func TestOptionsOfAKey(t *testing.T) {
	l := startLab(t)
	key := harness.PublicKey(t, l.key)
	for _, host := range []string{"relay", "box"} {
		t.Run(host, func(t *testing.T) {
			to := func(options string) harness.Target {
				l.guest(t, "keys: ['"+options+" "+key+"']")
				for _, door := range l.doors(t, l.key) {
					if strings.HasPrefix(door.Name, host) {
						return door
					}
				}
				t.Fatal("no door to " + host)
				return harness.Target{}
			}
			to("restrict,user-rc").Want(t, "ssh h echo in", "in\n")
			if got := to("restrict,user-rc").Run(t, "ssh -tt h echo in"); !strings.Contains(got.Stderr, "PTY allocation request failed") {
				t.Errorf("a terminal: %+v", got)
			}
			if got := to("no-port-forwarding").Run(t, "ssh -W "+l.SSHD.Address+" h </dev/null"); got.Exit == 0 {
				t.Errorf("a forward: %+v", got)
			}
			to(`permitopen="`+l.SSHD.Address+`"`).Want(t, "ssh -W "+l.SSHD.Address+" h </dev/null | head -c 8", "SSH-2.0-")
			forced := to(`command="echo forced, of \"$SSH_ORIGINAL_COMMAND\""`)
			if host == "box" { // the bare sshd of relay does not accept the variable
				forced.Want(t, "ssh h rm -rf /", "forced, of rm -rf /\n")
			}
			if got := forced.Run(t, "ssh h id"); !strings.HasPrefix(got.Stdout, "forced, of ") || strings.Contains(got.Stdout, "uid=") {
				t.Errorf("a forced command: %+v", got)
			}
			if got := to(`from="192.0.2.0/24"`).Run(t, "ssh h id"); got.Exit != 255 || !strings.Contains(got.Stderr, "Permission denied") {
				t.Errorf("from elsewhere: %+v", got)
			}
			if got := to(`expiry-time="20200101"`).Run(t, "ssh h id"); got.Exit != 255 || !strings.Contains(got.Stderr, "Permission denied") {
				t.Errorf("too late: %+v", got)
			}
			if got := to(`command="internal-sftp",restrict,user-rc`).Run(t, "echo ls "+l.dir+"/guest | sftp -q -b - h"); !strings.Contains(got.Stdout, "guest") {
				t.Errorf("sftp alone: %+v", got)
			}
			if host == "box" { // the bare sshd of relay is entered by a key, and not where it would have to be told
				to("").Want(t, "ssh h 'mkdir -p .ssh && echo echo rc >.ssh/rc'", "")
				to("").Want(t, "ssh h echo in", "rc\nin\n")
				to("no-user-rc").Want(t, "ssh h echo in", "in\n")
				to("restrict").Want(t, "ssh h rm .ssh/rc", "")
			}
		})
	}
}

// A key whose options become narrower is not used any more by who came with it, and
// a file of keys is watched as gateway.yaml is.
func TestAFileOfKeysIsWatched(t *testing.T) {
	l := startLab(t)
	file := filepath.Join(l.dir, "guest.keys")
	key := harness.PublicKey(t, l.key)
	harness.Write(t, file, 0o600, key+"\n")
	l.guest(t, "authorized_keys: "+file)
	door := l.doors(t, l.key)[1]
	one := door.StartCat(t)
	one.WantLine(t, "goes on")
	harness.Write(t, file, 0o600, "no-agent-forwarding "+key+"\n")
	if status := one.Wait(t); status != 255 {
		t.Errorf("who was there: exit %d", status)
	}
	two := door.StartCat(t)
	two.WantLine(t, "goes on")
	harness.Write(t, file, 0o600, "# nobody\n")
	two.Wait(t)
	if got := door.Run(t, "ssh h id"); got.Exit != 255 || !strings.Contains(got.Stderr, "Permission denied") {
		t.Errorf("without the key: %+v", got)
	}
}

// Certificates as ssh-keygen signs them, and lists as ssh-keygen -k takes them.
func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	ca := harness.MakeKey(t, dir, "ca")
	revoked := filepath.Join(dir, "revoked")
	harness.Write(t, revoked, 0o600, "# none\n")
	l := startLab(t, "user_cas: ['"+harness.PublicKey(t, ca)+"']", "revoked: "+revoked)
	l.guest(t, "principals: [guest@example.org]")
	sign := func(args ...string) {
		harness.Must(t, exec.Command("ssh-keygen", append(append([]string{"-q", "-s", ca, "-I", "guest's laptop"}, args...), l.key+".pub")...))
	}
	enters := func(what string, want bool) {
		t.Helper()
		for _, door := range l.doors(t, l.key, "CertificateFile "+l.key+"-cert.pub") {
			if got := door.Run(t, "ssh h echo in"); (got.Stdout == "in\n") != want {
				t.Errorf("%s, %s: %+v", what, door.Name, got)
			}
		}
	}
	sign("-n", "guest@example.org", "-z", "7")
	enters("as it should be", true)
	if got := l.doors(t, l.key, "CertificateFile "+l.key+"-cert.pub")[1].Run(t, "ssh -W "+l.SSHD.Address+" h </dev/null | head -c 4"); got.Stdout != "SSH-" {
		t.Errorf("a forward: %+v", got)
	}
	sign("-n", "guest", "-z", "7")
	enters("for another principal", false)
	sign("-z", "7")
	enters("for nobody", false)
	sign("-n", "guest@example.org", "-V", "20200101:20210101")
	enters("too late", false)
	sign("-n", "guest@example.org", "-O", "source-address=192.0.2.0/24")
	enters("from elsewhere", false)
	sign("-n", "guest@example.org", "-O", "critical:no-such@example.org=x")
	enters("with an unknown critical option", false)
	sign("-n", "guest@example.org", "-z", "7")
	live := l.doors(t, l.key, "CertificateFile "+l.key+"-cert.pub")[1].StartCat(t)
	live.WantLine(t, "goes on")
	harness.Write(t, revoked, 0o600, "serial: 7\n")
	if status := live.Wait(t); status != 255 {
		t.Errorf("who was there: exit %d", status)
	}
	enters("revoked", false)
}
