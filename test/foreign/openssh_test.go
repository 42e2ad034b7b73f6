package foreign

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// regress is where the package openssh-tests has OpenSSH's own tests.
const regress = "/usr/lib/openssh/regress"

// regressTests are OpenSSH's tests of a client and a server, but those that
// write their server's configuration or authorized_keys, which the gateway does
// not read; envpass stands for these.
const regressTests = `connect proxy-connect connect-uri proto-version proto-mismatch exit-status exit-status-signal
	envpass transfer stderr-data stderr-after-eof broken-pipe yes-head scp scp3 scp-uri sftp-uri
	dynamic-forward forwarding multiplex brokenkeys localcommand portnum host-expand knownhosts knownhosts-command`

// keysFor maps the types of keys that regress makes to the gateway's host keys.
var keysFor = map[string]string{
	"ssh-ed25519": "ssh_host_ed25519_key", "ecdsa-sha2-nistp256": "ssh_host_ecdsa_key", "ssh-rsa": "ssh_host_rsa_key",
}

// openssh is OpenSSH's suite. Its server and its users have the same keys; each
// door has its own copy of the suite, with these.
func openssh() suite {
	made := map[string]string{} // files
	return suite{
		name: "openssh",
		keys: func(t *testing.T) keys { return makeRegressKeys(t, made) },
		start: func(t *testing.T, dir string) func(*testing.T, door) results {
			return func(t *testing.T, at door) results {
				return runRegress(t, filepath.Join(dir, "openssh-"+at.name), made, at)
			}
		},
	}
}

func makeRegressKeys(t *testing.T, made map[string]string) keys {
	harness.Need(t, regress+"/mkdtemp")
	k := keys{hosts: map[string]string{}}
	dir := t.TempDir()
	for _, kind := range strings.Fields(harness.Must(t, exec.Command("ssh", "-Q", "key-plain"))) {
		if strings.HasPrefix(kind, "sk-") {
			continue // needs a security key
		}
		file := filepath.Join(dir, kind)
		harness.Must(t, exec.Command("ssh-keygen", "-q", "-N", "", "-t", kind, "-f", file))
		made[kind], made[kind+".pub"] = harness.Read(t, file), harness.Read(t, file+".pub")
		if kind != "ssh-dss" { // which the gateway refuses, as any OpenSSH since 7.0 does
			k.users = append(k.users, harness.PublicKey(t, file))
		}
		if name := keysFor[kind]; name != "" {
			k.hosts[name] = made[kind]
		}
	}
	return k
}

// runRegress runs the tests in dir, a copy of the suite.
func runRegress(t *testing.T, dir string, made map[string]string, at door) results {
	copyRegress(t, dir, made)
	got := results{}
	for _, name := range strings.Fields(regressTests) {
		if isChosen(name, strings.Fields(regressTests)...) {
			got[name] = runRegressTest(t, dir, name, at, opensshSftp)
		}
	}
	return got
}

// copyRegress copies the suite to dir, with the keys, and returns dir.
func copyRegress(t *testing.T, dir string, made map[string]string) string {
	harness.Must(t, exec.Command("cp", "-a", regress, dir))
	for name, text := range made {
		harness.Write(t, filepath.Join(dir, name), 0o600, text)
	}
	return dir
}

// opensshSftp is OpenSSH's own sftp server.
const opensshSftp = "/usr/lib/openssh/sftp-server"

// runRegressTest runs one test as the suite's Makefile does.
func runRegressTest(t *testing.T, dir, name string, at door, sftpServer string) string {
	command := exec.Command("timeout", "-k", "5", "1200", "sh", filepath.Join(dir, "test-exec.sh"), dir, filepath.Join(dir, name+".sh"))
	command.Dir = dir
	command.Env = append(plainEnv(), "BUILDDIR="+dir, "TEST_SHELL=sh", "TEST_SSH_SSH=ssh", "TEST_SSH_SSHD="+at.sshd, "TEST_SSH_PORT="+at.port,
		"TEST_SSH_SFTPSERVER="+sftpServer, "TEST_SSH_IPV6=yes",
		"TEST_SSH_ECC=yes", "TEST_SSH_UNSAFE_PERMISSIONS=1")
	start := time.Now()
	out, err := command.CombinedOutput()
	switch text := string(out); {
	case err != nil:
		t.Logf("%s failed at %s after %v: %v\n%s", name, at.name, time.Since(start).Round(time.Second), err, end(text))
		return failed
	case strings.Contains(text, "SKIPPED"):
		t.Logf("%s at %s: %s", name, at.name, end(text))
		return skipped
	default:
		t.Logf("%s passed at %s in %v", name, at.name, time.Since(start).Round(time.Second))
		return passed
	}
}

// end is the end of a text, where a test says why it failed.
func end(text string) string {
	const most = 2000
	return text[max(0, len(text)-most):]
}
