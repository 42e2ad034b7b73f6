package foreign

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	dynamic-forward forwarding multiplex brokenkeys localcommand portnum host-expand percent knownhosts knownhosts-command
	keyscan kextype try-ciphers cipher-speed integrity putty-transfer putty-ciphers putty-kex`

// inCommon are the algorithms that OpenSSH's client and the gateway have. Tests go
// through those that the client says it has (ssh -Q), of which it names these only.
const inCommon = `curve25519-sha256 curve25519-sha256@libssh.org ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521
	aes128-gcm@openssh.com aes256-gcm@openssh.com aes128-ctr aes192-ctr aes256-ctr
	hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com hmac-sha2-256 hmac-sha2-512`

// hostKeyTests ask for a host key of each type that the client says it has, of which
// it names those only that the gateway has.
var hostKeyTests = []string{"keyscan", "knownhosts-command"}

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
	k.users = append(k.users, makePuttyKey(t, made))
	return k
}

// puttyKey is the file of a key for PuTTY, which the suite would make anew each time.
const puttyKey = "made.ppk"

func makePuttyKey(t *testing.T, made map[string]string) (public string) {
	harness.Need(t, "puttygen", "plink")
	file := filepath.Join(t.TempDir(), puttyKey)
	harness.Must(t, exec.Command("puttygen", "-t", "rsa", "-o", file, "--random-device=/dev/urandom", "--new-passphrase", "/dev/null"))
	made[puttyKey] = harness.Read(t, file)
	return strings.TrimSpace(harness.Must(t, exec.Command("puttygen", "-O", "public-openssh", file)))
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
	if err := os.Mkdir(filepath.Join(dir, "programs"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, program := range map[string]string{
		"ssh":      knowing([]string{"kex", "cipher", "cipher-auth", "mac", "Ciphers", "MACs"}, strings.Fields(inCommon)),
		"ssh-keys": knowing([]string{"key-plain"}, slices.Sorted(maps.Keys(keysFor))),
		"plink":    "#!/bin/sh\nexec plink -hostkey " + fingerprint(t, dir, "ssh-ed25519") + " -hostkey " + fingerprint(t, dir, "ssh-rsa") + " \"$@\"\n",
		"puttygen": "#!/bin/sh\n[ \"$1\" = -t ] || exec puttygen \"$@\"\nexec cp " + filepath.Join(dir, puttyKey) + " \"$4\"\n",
	} {
		harness.Write(t, filepath.Join(dir, "programs", name), 0o755, program)
	}
	return dir
}

// fingerprint is that of a host key. The suite tells PuTTY the RSA key alone, which the
// gateway shows only to who knows no better one.
func fingerprint(t *testing.T, dir, kind string) string {
	return strings.Fields(harness.Must(t, exec.Command("ssh-keygen", "-lf", filepath.Join(dir, kind+".pub"))))[1]
}

// knowing is an ssh that says of some kinds of algorithms that it has these only.
func knowing(kinds, names []string) string {
	script := "#!/bin/sh\ncase \"$*\" in\n"
	for _, kind := range kinds {
		script += fmt.Sprintf("*'-Q %[1]s') ssh -Q %[1]s | grep -Fx -e %[2]s; exit ;;\n", kind, strings.Join(names, " -e "))
	}
	return script + "esac\nexec ssh \"$@\"\n"
}

// opensshSftp is OpenSSH's own sftp server.
const opensshSftp = "/usr/lib/openssh/sftp-server"

// runRegressTest runs one test as the suite's Makefile does. Its sshd sees an empty home
// directory, as every other door does.
func runRegressTest(t *testing.T, dir, name string, at door, sftpServer string) string {
	ssh := filepath.Join(dir, "programs", "ssh")
	if slices.Contains(hostKeyTests, name) {
		ssh += "-keys"
	}
	command := harness.PlainHome("timeout", "-k", "5", "1200", "sh", filepath.Join(dir, "test-exec.sh"), dir, filepath.Join(dir, name+".sh"))
	command.Dir = dir
	command.Env = append(plainEnv(), "BUILDDIR="+dir, "TEST_SHELL=sh", "TEST_SSH_SSH="+ssh, "TEST_SSH_SSHD="+at.sshd, "TEST_SSH_PORT="+at.port,
		"TEST_SSH_SFTPSERVER="+sftpServer, "TEST_SSH_IPV6=yes",
		"TEST_SSH_ECC=yes", "TEST_SSH_PLINK="+filepath.Join(dir, "programs", "plink"), "TEST_SSH_PUTTYGEN="+filepath.Join(dir, "programs", "puttygen"), "TEST_SSH_UNSAFE_PERMISSIONS=1")
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
