package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// matrixClient is a client that somebody else wrote.
type matrixClient struct {
	name    string
	program []string // that makes the client do things, in testdata
	tools   []string // that it needs
	does    []string
	codes   bool   // it answers the question for a code after the key
	usual   bool   // tried by every test run
	inHost  string // the package of what it runs in the host

	cannot map[string]string // ways to log in that it has not, and why
	lacks  string            // what else it cannot do, and why
}

func matrixClients() []matrixClient {
	byOpenSSH := map[string]string{"rsa": "OpenSSH logs in for it, see there", "ecdsa": "as rsa"}
	return []matrixClient{
		{
			name: "openssh", program: bash("openssh.sh"), codes: true, usual: true,
			tools: []string{"ssh", "sftp", "scp"},
			does:  []string{"exec", "shell", "sftp", "scp", "forward"},
		},
		{
			name: "putty", program: bash("putty.sh"), codes: true, usual: true,
			tools: []string{"plink", "psftp", "pscp", "puttygen", "script"},
			does:  []string{"exec", "shell", "sftp", "scp", "forward"},
		},
		{
			name: "dropbear", program: bash("dropbear.sh"), codes: true, usual: true,
			tools: []string{"dbclient", "dropbearconvert", "script"},
			does:  []string{"exec", "shell", "forward"},
			lacks: "sftp, scp: it brings no program for either",
		},
		{
			name: "paramiko", program: python("with_paramiko.py"), codes: true, usual: true,
			does:  []string{"exec", "shell", "sftp", "forward"},
			lacks: "scp: not in the library",
		},
		{
			name: "asyncssh", program: python("with_asyncssh.py"), codes: true,
			does: []string{"exec", "shell", "sftp", "scp", "forward"},
		},
		{
			name: "ssh2", program: []string{"node", "testdata/ssh2.js"}, codes: true,
			tools: []string{"node"},
			does:  []string{"exec", "shell", "sftp", "forward"},
			lacks: "scp: not in the library",
		},
		{
			name: "libssh2", program: bash("libssh2.sh"), usual: true,
			tools: []string{"curl", "ssh-keygen"},
			does:  []string{"sftp", "scp"},
			cannot: map[string]string{
				"rsa": "before 1.11 it signs with SHA-1 only, which neither sshd nor the gateway takes",
			},
			lacks: "exec, shell, forward: curl only copies",
		},
		{
			name: "lftp", program: bash("lftp.sh"),
			tools:  []string{"lftp", "ssh"},
			does:   []string{"sftp"},
			cannot: byOpenSSH,
			lacks:  "all but sftp: not its purpose",
		},
		{
			name: "sshfs", program: bash("sshfs.sh"),
			tools:  []string{"sshfs", "ssh"},
			does:   []string{"mount"},
			cannot: byOpenSSH,
			lacks:  "all but mounting: not its purpose",
		},
		{
			name: "git", program: bash("git.sh"),
			tools:  []string{"git", "ssh"},
			does:   []string{"push"},
			cannot: byOpenSSH,
			lacks:  "all but push and clone: not its purpose",
		},
		{
			name: "rsync", program: bash("rsync.sh"), usual: true,
			tools:  []string{"rsync", "ssh"},
			does:   []string{"tree"},
			cannot: byOpenSSH,
			lacks:  "all but rsync: not its purpose",
		},
		{
			name: "ansible", program: bash("ansible.sh"),
			tools:  []string{"ansible", "sshpass", "ssh"},
			does:   []string{"play", "pipelined"},
			cannot: byOpenSSH,
			lacks:  "all but modules: not its purpose",
		},
		{
			name: "jsch", program: bash("jsch.sh"), codes: true,
			tools:  []string{"java", "ssh-keygen"},
			does:   []string{"exec", "shell", "sftp"},
			cannot: map[string]string{"ed25519": "it does not know it", "rsa": "it signs with SHA-1 only, as libssh2 before 1.11"},
			lacks:  "scp: not in the library; forward: it does not half-close",
		},
		{
			name: "net-ssh", program: []string{"ruby", filepath.Join("testdata", "net_ssh.rb")}, codes: true,
			tools: []string{"ruby"},
			does:  []string{"exec", "shell", "sftp", "scp"},
			lacks: "forward: it does not half-close",
		},
		{
			name: "phpseclib", program: []string{"php", filepath.Join("testdata", "phpseclib.php")}, codes: true,
			tools:  []string{"php"},
			does:   []string{"shell", "sftp"},
			cannot: map[string]string{"rsa": "sshd does not take its signature either"},
			lacks:  "exec, scp, forward: its commands have no input, and the others are not in the library",
		},
		{
			name: "libssh", program: bash("libssh.sh"), codes: true,
			tools: []string{"cc"},
			does:  []string{"exec", "shell", "sftp"},
			lacks: "scp, forward: not tried, since the program would be longer than what it tries",
		},
		{
			name: "erlang", program: []string{"escript", filepath.Join("testdata", "erlang.escript")}, codes: true,
			tools: []string{"escript"},
			does:  []string{"exec", "shell", "sftp"},
			lacks: "scp: not in the library; forward: it does not half-close",
		},
		{
			name: "keyboard-interactive", program: bash("keyboard.sh"), usual: true,
			tools:  []string{"ssh", "sftp"},
			does:   []string{"exec", "shell", "sftp"},
			cannot: map[string]string{"ed25519": "keys are OpenSSH's, see there", "rsa": "as ed25519", "ecdsa": "as ed25519"},
		},
		{
			name: "tramp", program: bash("tramp.sh"),
			tools:  []string{"emacs", "ssh"},
			does:   []string{"edit"},
			cannot: byOpenSSH,
			lacks:  "all but files and processes in an editor: not its purpose",
		},
		{
			name: "restic", program: bash("restic.sh"),
			tools:  []string{"restic", "ssh"},
			does:   []string{"backup"},
			cannot: byOpenSSH,
			lacks:  "all but backups: not its purpose",
		},
		{
			name: "rclone", program: bash("rclone.sh"),
			tools: []string{"rclone"},
			does:  []string{"sftp"},
			lacks: "all but sftp: not its purpose",
		},
		{
			name: "borg", program: bash("borg.sh"), inHost: "borgbackup",
			tools:  []string{"borg", "ssh"},
			does:   []string{"backup"},
			cannot: byOpenSSH,
			lacks:  "all but backups: not its purpose",
		},
	}
}

func bash(file string) []string { return []string{"bash", filepath.Join("testdata", file)} }

// python is Debian's own, which has Debian's packages.
func python(file string) []string {
	return []string{"/usr/bin/python3", filepath.Join("testdata", file)}
}

// version skips the test where the client is missing.
func (c matrixClient) version(t *testing.T) string {
	t.Helper()
	harness.Need(t, c.tools...)
	command := exec.Command("bash", "-c", c.script(t, "version"))
	command.Env = append(os.Environ(), "KNOWN_HOSTS=/dev/null", "HOST=", "PORT=", "LOGIN=", "FINGERPRINT=", "PYTHONWARNINGS=ignore")
	command.Dir = t.TempDir()
	out, err := command.CombinedOutput()
	if err != nil {
		harness.Missing(t, fmt.Sprintf("%s: %v: %s", c.name, err, out))
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first
}

// script runs the client's program from anywhere, with execInput as its input.
func (c matrixClient) script(t *testing.T, what string) string {
	t.Helper()
	file, err := filepath.Abs(c.program[1])
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("exec %s %s %s <<'END'\n%sEND\n", c.program[0], file, what, execInput)
}

// reasons are what the client cannot do, and why.
func (c matrixClient) reasons() string {
	var reasons []string
	for _, auth := range auths {
		if why := c.cannot[auth]; why != "" {
			reasons = append(reasons, auth+": "+why)
		}
	}
	if c.lacks != "" {
		reasons = append(reasons, c.lacks)
	}
	return strings.Join(reasons, "; ")
}
