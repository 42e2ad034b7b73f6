package foreign

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/testdata"

	"github.com/berth-ssh/berth/test/harness"
)

// A suite of a Go module is built from a copy of the module's source, since suites write
// beside it, and Go's cache of modules is not theirs.

// buildTests builds the tests of a package of a module, and returns the program
// and the package's directory. Edits are a file of it, and pairs of what stands there
// and what is to stand there.
func buildTests(t *testing.T, dir, module, directory string, edits ...string) (program, source string) {
	t.Helper()
	root := filepath.Join(dir, "module")
	harness.Must(t, exec.Command("cp", "-r", "--no-preserve=mode", moduleDir(t, module), root))
	if len(edits) > 0 {
		edit(t, filepath.Join(root, directory, edits[0]), edits[1:])
	}
	program, source = filepath.Join(dir, "suite.test"), filepath.Join(root, directory)
	goRun(t, root, "test", "-mod=mod", "-c", "-o", program, "./"+directory)
	return program, source
}

func edit(t *testing.T, file string, edits []string) {
	t.Helper()
	text := harness.Read(t, file)
	for ; len(edits) > 0; edits = edits[2:] {
		if !strings.Contains(text, edits[0]) {
			t.Fatalf("%s has no %q", file, edits[0])
		}
		text = strings.ReplaceAll(text, edits[0], edits[1])
	}
	harness.Write(t, file, 0o600, text)
}

// moduleDir is where the source of a module is, of the version that follows an
// @, or else of that which this module needs.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	if !strings.Contains(module, "@") {
		module = strings.TrimSpace(goRun(t, ".", "list", "-m", "-f", "{{.Path}}@{{.Version}}", module))
	}
	var got struct{ Dir string }
	if err := json.Unmarshal([]byte(goRun(t, ".", "mod", "download", "-json", module)), &got); err != nil {
		t.Fatal(err)
	}
	return got.Dir
}

// goRun runs go in a directory, without the edits that our programs are built with.
func goRun(t *testing.T, dir string, args ...string) string {
	t.Helper()
	command := exec.Command("go", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOFLAGS=")
	return harness.Must(t, command)
}

// runTests runs a test program, and returns what became of its tests.
func runTests(t *testing.T, command *exec.Cmd) results {
	t.Helper()
	out, err := command.CombinedOutput()
	got := results{}
	for line := range strings.Lines(string(out)) {
		if over := endOfTest.FindStringSubmatch(line); over != nil {
			got[over[2]] = map[string]string{"PASS": passed, "FAIL": failed, "SKIP": skipped}[over[1]]
		}
	}
	if len(got) == 0 || err != nil {
		t.Logf("%s: %v\n%s", command, err, failures(string(out)))
	}
	return got
}

// failures is what the tests of a text of go test -v said that failed, each to its
// end; or the end of the text, where none did.
func failures(text string) string {
	said := map[string]string{} // by tests
	var name, told string
	for line := range strings.Lines(text) {
		if run := startOfTest.FindStringSubmatch(line); run != nil {
			name = run[1]
			continue
		}
		if over := endOfTest.FindStringSubmatch(line); over != nil {
			name = over[2]
			if over[1] == "FAIL" {
				told += line + end(said[name])
			}
			continue
		}
		said[name] += line
	}
	if told == "" {
		return end(text)
	}
	return told
}

// The lines of go test -v between which a test speaks.
var (
	startOfTest = regexp.MustCompile(`^=== (?:RUN|NAME|CONT) +(\S+)`)
	endOfTest   = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+)`)
)

// plainEnv is what suites run with.
func plainEnv(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LOGNAME=root", "USER=root", "TERM=dumb"}, more...)
}

// named is a program that is found in a directory of its own, under a name.
func named(t *testing.T, name, program string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Symlink(program, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// crypto is the suite of x/crypto/ssh, which starts an sshd for each test. It
// refuses to run as root by the full name, which is another one for it; its sshd lets
// root in here; and it knows the ed25519 host key, which the gateway shows to everyone
// who takes one. Its sshd sees an empty home directory, as every other door does.
func crypto() suite {
	return suite{name: "crypto", keys: cryptoKeys, start: func(t *testing.T, dir string) func(*testing.T, door) results {
		const known = `keyChecker.Add(testPublicKeys["ecdsa"])`
		program, source := buildTests(t, dir, "golang.org/x/crypto", "ssh/test", "recording_test.go",
			"PermitRootLogin no", "PermitRootLogin yes", known, known+"\n"+strings.ReplaceAll(known, "ecdsa", "ed25519"))
		accounts := filepath.Join(dir, "passwd")
		text := harness.Read(t, "/etc/passwd")
		harness.Write(t, accounts, 0o644, regexp.MustCompile(`(?m)^(root:[^:]*:0:0:)[^:]*`).ReplaceAllString(text, "${1}Administrator"))
		return func(t *testing.T, at door) results {
			got := results{}
			for _, name := range strings.Fields(harness.Must(t, exec.Command(program, "-test.list", liveTests))) {
				// Each by itself: a bare sshd of root's may not end with its test.
				script := fmt.Sprintf(`mount --bind %s /etc/passwd && mount -t tmpfs home "$HOME" && cd %s && exec %s -test.v -test.timeout 1m -test.run '^%s$'`, accounts, source, program, name)
				command := exec.Command("unshare", "--mount", "sh", "-c", script)
				command.Env = plainEnv("TMPDIR="+dir, "PATH="+named(t, "sshd", at.sshd)+":"+os.Getenv("PATH"))
				command.WaitDelay = time.Second
				maps.Copy(got, runTests(t, command))
			}
			return got
		}
	}}
}

// liveTests are those that need a server; the others play what was recorded.
const liveTests = `^Test(AgentForward|CertLogin|Dial|PortForward|AcceptClose|MultiAuth|RunCommandWeClosed|FuncLargeRead|KeyChange|ValidTerminalMode|Ciphers$|ClientAuth|SSHCLI)`

// cryptoKeys are those that the suite has in its source.
func cryptoKeys(t *testing.T) keys {
	k := keys{hosts: map[string]string{}}
	dir := t.TempDir()
	for name, file := range map[string]string{"ed25519": "ssh_host_ed25519_key", "ecdsa": "ssh_host_ecdsa_key", "rsa": "ssh_host_rsa_key", "user": ""} {
		key := string(testdata.PEMBytes[name])
		if file != "" {
			k.hosts[file] = key
		}
		harness.Write(t, filepath.Join(dir, name), 0o600, key)
		public := harness.Must(t, exec.Command("ssh-keygen", "-y", "-f", filepath.Join(dir, name)))
		k.users = append(k.users, strings.TrimSpace(public))
	}
	return k
}

// sftp is the suite of pkg/sftp's client, which starts a program that speaks
// SFTP on its standard streams.
func sftp() suite {
	return suite{name: "sftp", keys: noKeys, start: func(t *testing.T, dir string) func(*testing.T, door) results {
		program, source := buildTests(t, dir, "github.com/pkg/sftp", "")
		return func(t *testing.T, at door) results {
			server := filepath.Join(t.TempDir(), "sftp-server")
			harness.Write(t, server, 0o755, fmt.Sprintf(sftpServer, at.Clients, at.Clients))
			return runSftpClient(t, program, source, dir, server)
		}
	}}
}

func runSftpClient(t *testing.T, program, source, dir, server string) results {
	command := exec.Command(program, "-test.v", "-test.timeout", "20m", "-test.run", "^TestClient", "-integration", "-sftp", server)
	command.Dir = source
	command.Env = plainEnv("TMPDIR=" + dir)
	return runTests(t, command)
}

// sftpServer is called as OpenSSH's is. A subsystem has no arguments: a server
// that writes nothing (-R) is a command.
const sftpServer = `#!/bin/sh
case " $* " in
*" -R "*) exec %s/ssh h /usr/lib/openssh/sftp-server "$@" ;;
*) exec %s/ssh -s h sftp ;;
esac
`

func noKeys(*testing.T) keys { return keys{} }

// rclone is the suite of rclone's sftp backend. Its version needs no newer Go
// than this module. It works in the account's home, since it cannot find again from
// the root of a server what it made by an absolute path. Copies that are hard links
// stay out: it wants a copy to stay as it is when the original changes.
func rclone() suite {
	return suite{name: "rclone", keys: noKeys, start: func(t *testing.T, dir string) func(*testing.T, door) results {
		program, source := buildTests(t, dir, "github.com/rclone/rclone@v1.76.0", "backend/sftp")
		return func(t *testing.T, at door) results {
			host, port, _ := strings.Cut(at.Address, ":")
			config := filepath.Join(t.TempDir(), "rclone.conf")
			harness.Write(t, config, 0o600, fmt.Sprintf("[%s]\ntype = sftp\nhost = %s\nport = %s\nuser = %s\nkey_file = %s\n",
				"TestSFTP", host, port, at.Login, at.Key))
			command := exec.Command(program, "-test.v", "-test.timeout", "20m", "-test.run", "^TestIntegration$", "-remote", "TestSFTP:")
			command.Dir = source
			command.Env = plainEnv("TMPDIR="+dir, "RCLONE_CONFIG="+config)
			return runTests(t, command)
		}
	}}
}
