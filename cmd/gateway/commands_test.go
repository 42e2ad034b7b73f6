package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/configs"
	"github.com/berth-ssh/berth/packaging"
	"github.com/berth-ssh/berth/test/harness"
)

// runCommand is the program, without a process.
func runCommand(stdin io.Reader, args ...string) (stdout, stderr string, err error) {
	var out, errors bytes.Buffer
	command := newCommand()
	command.SetArgs(args)
	command.SetIn(stdin)
	command.SetOut(&out)
	command.SetErr(&errors)
	if err = command.Execute(); err != nil {
		printError(&errors, err)
	}
	return out.String(), errors.String(), err
}

func TestCheck(t *testing.T) {
	t.Chdir(t.TempDir())
	good := bytes.Replace(configs.Gateway, []byte("\nlisten: :2222"), []byte("\nlisten: 127.0.0.1:0"), 1)
	good = bytes.Replace(good, []byte("\nstate: /var/lib/berth"), []byte("\nstate: /nowhere/berth"), 1)
	good = bytes.Replace(good, []byte("\ndocker: unix:///var/run/docker.sock"), []byte("\ndocker: unix:///nowhere"), 1)
	harness.Write(t, "good.yaml", 0o600, string(good))
	harness.Write(t, "bad.yaml", 0o600, "listen: here\nusers: {}\nhosts: []\n")

	stdout, stderr, err := runCommand(nil, "check", "--config", "good.yaml")
	if want := `good.yaml: ok, 2 users, 3 hosts in the file

HOST              USERS       NOW
box               admin       route local
ci                dev         cannot be looked up: the engine does not answer
homework          dev         cannot be looked up: the engine does not answer
lab               admin       cannot be looked up: the engine does not answer
master            dev, admin  cannot be looked up: the engine does not answer
old-box           admin       route sshd
worker            dev         cannot be looked up: the engine does not answer
gpu-*             dev         no host
project:datasets  dev         no host
`; stdout != want || stderr != "" || err != nil {
		t.Errorf("%s, %q, %v, want\n%s", stdout, stderr, err, want)
	}
	stdout, stderr, err = runCommand(nil, "check", "--config", "bad.yaml")
	if want := "bad.yaml:1: listen must be an address; write :2222 or 127.0.0.1:2222\n" +
		"bad.yaml:3: hosts must be a mapping; write \"key: value\" pairs\n"; stdout != "" || stderr != want || err == nil {
		t.Errorf("%q, %q, %v", stdout, stderr, err)
	}
	harness.Write(t, "first.yaml", 0o600, "listen: 127.0.0.1:0\nstate: /nowhere/berth\n"+string(packaging.FirstConfig))
	stdout, stderr, err = runCommand(nil, "check", "--config", "first.yaml")
	if want := "first.yaml:1: warning: there are no users, so nobody can log in; add one under users:\n"; stdout != "first.yaml: ok, 0 users, 0 hosts in the file\n" || stderr != want || err != nil {
		t.Errorf("what the packages install: %q, %q, %v", stdout, stderr, err)
	}
	if _, stderr, err := runCommand(nil, "check", "more"); !strings.HasPrefix(stderr, "gateway: ") || err == nil {
		t.Errorf("%q, %v", stderr, err)
	}
}

// What is wrong with this machine, not with the file.
func TestCheckLooksAtThisMachine(t *testing.T) {
	t.Chdir(t.TempDir())
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	file := fmt.Sprintf("listen: %s\nstate: %s\nusers:\n  dev: {password: %q}\n", taken.Addr(), dir, hash(t))
	harness.Write(t, "gateway.yaml", 0o600, file)
	check := func() (stdout, stderr string, err error) { return runCommand(nil, "check", "--config", "gateway.yaml") }

	os.Chmod(dir, 0o700)
	stdout, stderr, err := check()
	want := "gateway.yaml:4: warning: user \"dev\" has no hosts, so nothing can be entered; add them under hosts:\n" +
		"gateway.yaml: warning: cannot listen on " + taken.Addr().String() + ": another program does; this is right if it is the gateway, already running\n"
	if stdout != "gateway.yaml: ok, 1 user, 0 hosts in the file\n" || stderr != want || err != nil {
		t.Errorf("%q, %v, %q, want %q", stdout, err, stderr, want)
	}
	os.Chmod(dir, 0o755)
	stdout, stderr, err = check()
	want = fmt.Sprintf("gateway: state directory %s is open to others (mode 0755): chmod 0700 %[1]s\n", dir)
	if stdout != "" || stderr != want || err == nil {
		t.Errorf("%q, %v, %q, want %q", stdout, err, stderr, want)
	}
}

// A directory that cannot be written to is no reason not to start the gateway.
func TestCheckWithoutADirectoryToLookFrom(t *testing.T) {
	t.Chdir(t.TempDir())
	file := fmt.Sprintf("listen: 127.0.0.1:0\nstate: /nowhere/berth\nusers:\n  dev: {password: %q, hosts: {lab: }}\n", hash(t))
	harness.Write(t, "gateway.yaml", 0o600, file)
	t.Setenv("TMPDIR", "/nowhere")
	stdout, stderr, err := runCommand(nil, "check", "--config", "gateway.yaml")
	if stdout != "gateway.yaml: ok, 1 user, 0 hosts in the file\n" || err != nil || !strings.HasPrefix(stderr, "gateway.yaml: warning: the hosts were not looked up: ") {
		t.Errorf("%q, %q, %v", stdout, stderr, err)
	}
}

func hash(t *testing.T) string {
	t.Helper()
	hash, err := auth.HashPassword([]byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func TestHashPasswordFromPipe(t *testing.T) {
	for input, password := range map[string]string{
		"correct horse\n": "correct horse",
		"correct horse":   "correct horse",
		" spaces count ":  " spaces count ",
	} {
		stdout, stderr, err := runCommand(strings.NewReader(input), "hash-password")
		if err != nil || stderr != "" || !opens(t, strings.TrimSuffix(stdout, "\n"), password) {
			t.Errorf("%q: %q, %q, %v", input, stdout, stderr, err)
		}
	}
	for _, input := range []string{"", "\n", "two\nlines\n", "x\n\n", strings.Repeat("x", 1025)} {
		stdout, stderr, err := runCommand(strings.NewReader(input), "hash-password")
		if err == nil || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%.20q: %q, %q, %v", input, stdout, stderr, err)
		}
	}
}

func opens(t *testing.T, hash, password string) bool {
	t.Helper()
	policy, err := auth.NewPolicy([]auth.User{{Name: "dev", Password: hash}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = policy.Password("dev", []byte(password))
	return err == nil
}

// A person at a terminal types the password twice and does not see it.
func TestHashPasswordOnTerminal(t *testing.T) {
	for again, good := range map[string]bool{"correct horse": true, "correct hose": false} {
		person, terminal, err := pty.Open()
		if err != nil {
			t.Skipf("no terminal: %v", err)
		}
		prompts, promptWriter := io.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			answer(t, prompts, person, "Password: ", "correct horse")
			answer(t, prompts, person, "Again: ", again)
			io.Copy(io.Discard, prompts)
		}()
		var stdout bytes.Buffer
		command := newHashPasswordCommand()
		command.SilenceErrors, command.SilenceUsage = true, true
		command.SetArgs(nil)
		command.SetIn(terminal)
		command.SetOut(&stdout)
		command.SetErr(promptWriter)
		err = command.Execute()
		promptWriter.Close()
		<-done
		if good && (err != nil || !opens(t, strings.TrimSpace(stdout.String()), "correct horse")) {
			t.Errorf("%q, %v", stdout.String(), err)
		}
		if !good && (err == nil || stdout.Len() > 0) {
			t.Errorf("two passwords that differ: %q, %v", stdout.String(), err)
		}
		if seen := seenOn(person, terminal); strings.Contains(seen, "horse") {
			t.Errorf("the terminal shows %q", seen)
		}
	}
}

// answer types a line when the prompt is there and the echo is not.
func answer(t *testing.T, prompts io.Reader, person *os.File, prompt, line string) {
	var shown []byte
	for b := make([]byte, 1); !bytes.HasSuffix(shown, []byte(prompt)); shown = append(shown, b[0]) {
		if _, err := prompts.Read(b); err != nil {
			t.Errorf("%q instead of %q", shown, prompt)
			return
		}
	}
	for deadline := time.Now().Add(10 * time.Second); echoes(t, person); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Error("the terminal still echoes")
			return
		}
	}
	fmt.Fprintln(person, line)
}

func echoes(t *testing.T, terminal *os.File) bool {
	modes, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Error(err)
		return false
	}
	return modes.Lflag&unix.ECHO != 0
}

// seenOn is what the terminal showed, up to a mark that is written last.
func seenOn(person, terminal *os.File) string {
	fmt.Fprint(terminal, "\x00")
	var seen []byte
	for b := make([]byte, 1); !bytes.HasSuffix(seen, []byte{0}); {
		if _, err := person.Read(b); err != nil {
			break
		}
		seen = append(seen, b[0])
	}
	person.Close()
	terminal.Close()
	return string(seen)
}

// What a user may do, and which line says so.
func TestCheckExplains(t *testing.T) {
	t.Chdir(t.TempDir())
	file := fmt.Sprintf(`state: /nowhere/berth
docker: unix:///nowhere
groups:
  lab:
    hosts:
      "m*": {restrict: yes, shell: yes, sessions: 2, from: 10.0.0.0/8, until: 2099-12-31T12:00:00Z}
users:
  dev:
    password: %q
    groups: [lab]
    hosts:
      master: {accounts: [developer, root], exec: [make test], local_forwards: ["localhost:8888"], x11: no}
      old: {until: 2001-01-01}
`, hash(t))
	harness.Write(t, "gateway.yaml", 0o600, file)
	for _, tt := range []struct{ who, host, want, err string }{
		{"dev", "master", `user             dev
host             master
by               gateway.yaml:12, hosts of the user, master
account          developer, or if named root
shell            yes
exec             only "make test"
sftp             yes
local_forwards   only localhost:8888
remote_forwards  yes
streamlocal      yes
agent            yes
x11              no
until            no end
from             anywhere
sessions         no limit
also             gateway.yaml:6, group lab, m*, where the first does not hold
now              cannot be looked up: the engine does not answer
`, ""},
		{"dev", "maker", `user             dev
host             maker
by               gateway.yaml:6, group lab, m*
account          the host's own
shell            yes
exec             no
sftp             no
local_forwards   no
remote_forwards  no
streamlocal      no
agent            no
x11              no
until            2099-12-31 12:00 UTC
from             10.0.0.0/8
sessions         2
now              cannot be looked up: the engine does not answer
`, ""},
		{"dev", "old", "", "dev may not enter host old any more: the grant of gateway.yaml:13 has ended"},
		{"dev", "vault", "", "dev may not enter host vault: nothing that is granted to dev is for it"},
		{"dve", "master", "", `there is no user "dve"; did you mean dev?`},
		{"dev", "", "", "--who and --host go together: berth-gateway check --who dev --host master"},
	} {
		stdout, _, err := runCommand(nil, "check", "--config", "gateway.yaml", "--who", tt.who, "--host", tt.host)
		if stdout != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.HasPrefix(err.Error(), tt.err) {
			t.Errorf("%s on %s: %v\n%s\nwant %s", tt.who, tt.host, err, stdout, tt.want)
		}
	}
}

func TestCheckListsPatternsWithoutHosts(t *testing.T) {
	t.Chdir(t.TempDir())
	file := fmt.Sprintf("listen: 127.0.0.1:0\nstate: /nowhere/berth\ndocker: unix:///nowhere\nusers:\n  dev: {password: %q, hosts: {\"b*\": , \"gpu-*\": }}\nhosts: {box: {route: local}}\n", hash(t))
	harness.Write(t, "gateway.yaml", 0o600, file)
	stdout, stderr, err := runCommand(nil, "check", "--config", "gateway.yaml")
	if want := "gateway.yaml: ok, 1 user, 1 host in the file\n\nHOST   USERS  NOW\nbox    dev    route local\ngpu-*  dev    no host\n"; stdout != want || stderr != "" || err != nil {
		t.Errorf("%s%s%v, want\n%s", stdout, stderr, err, want)
	}
}

func TestReloadWithoutAGatewayShowsTheProblems(t *testing.T) {
	t.Chdir(t.TempDir())
	harness.Write(t, "gateway.yaml", 0o600, "state: /nowhere/berth\nusers: {dev: {password: wrong}}\n")
	if _, _, err := runCommand(nil, "reload", "--config", "gateway.yaml"); err == nil || !strings.HasPrefix(err.Error(), "gateway.yaml:2: password: not an argon2id or bcrypt hash") {
		t.Errorf("%v", err)
	}
	harness.Write(t, "gateway.yaml", 0o600, fmt.Sprintf("state: /nowhere/berth\nusers: {dev: {password: %q}}\n", hash(t)))
	if _, _, err := runCommand(nil, "reload", "--config", "gateway.yaml"); err == nil || !strings.HasPrefix(err.Error(), "no gateway is running here") {
		t.Errorf("%v", err)
	}
}
