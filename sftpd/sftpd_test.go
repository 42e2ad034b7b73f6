package sftpd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
)

// asServer makes the test's own program the server of OpenSSH's client.
const asServer = "BERTH_TEST_AS_SFTP_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		if err := Serve(os.Stdin, os.Stdout, false); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// openSSHs is where distributions have the server that this one stands for.
const openSSHs = "/usr/lib/openssh/sftp-server"

// offered are the extensions that a server offers.
func offered(t *testing.T, command *exec.Cmd) map[string]string {
	t.Helper()
	in, out := harness.Talk(t, command)
	in.Write(packet{kind: typeInit, id: 3}.bytes())
	p, err := readPacket(out)
	if p.kind != typeVersion || p.id != 3 {
		t.Fatalf("answered with %+v, %v", p, err)
	}
	found := map[string]string{}
	for rest := p.body; len(rest) > 0; {
		var pair struct {
			Name, Version string
			Rest          []byte `ssh:"rest"`
		}
		if err := ssh.Unmarshal(rest, &pair); err != nil {
			t.Fatal(err)
		}
		found[pair.Name], rest = pair.Version, pair.Rest
	}
	return found
}

func ourselves(t *testing.T) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self)
	command.Env = append(os.Environ(), asServer+"=1")
	return command
}

func TestWhatOpenSSHsServerOffersIsOffered(t *testing.T) {
	if _, err := os.Stat(openSSHs); err != nil {
		harness.Missing(t, err.Error())
	}
	ours := offered(t, ourselves(t))
	for name, version := range offered(t, exec.Command(openSSHs)) {
		if ours[name] != version {
			t.Errorf("%s %s is offered there, and %q here", name, version, ours[name])
		}
	}
}

// OpenSSH's client does by extensions what it can, and says so.
func TestOpenSSHsClientUsesTheExtensions(t *testing.T) {
	if _, err := exec.LookPath("sftp"); err != nil {
		harness.Missing(t, err.Error())
	}
	me, err := user.Current()
	if err != nil {
		harness.Missing(t, err.Error())
	}
	dir := t.TempDir()
	data := bytes.Repeat([]byte("data "), 200_000)
	if err := os.WriteFile(filepath.Join(dir, "local"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	server := ourselves(t)
	command := exec.Command("sftp", "-vvv", "-b", "-", "-D", "env "+asServer+"=1 HOME="+dir+" "+server.Path)
	command.Stdin = strings.NewReader(fmt.Sprintf("cd %s\nput -f local far\ncopy far copied\nrename copied renamed\nln far linked\ndf\nls -l\n", dir))
	command.Dir = dir
	var out, said bytes.Buffer
	command.Stdout, command.Stderr = &out, &said
	if err := command.Run(); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	for _, words := range []string{"fsync@openssh.com", "copy-data", "limits@openssh.com", "hardlink@openssh.com", "users-groups-by-id@openssh.com"} {
		if !strings.Contains(said.String(), words) {
			t.Errorf("it does not say %s: %s", words, said.String())
		}
	}
	if copied, err := os.ReadFile(filepath.Join(dir, "renamed")); !bytes.Equal(copied, data) {
		t.Errorf("%d bytes are copied, %v", len(copied), err)
	}
	if far, linked := stat(t, dir, "far"), stat(t, dir, "linked"); !os.SameFile(far, linked) {
		t.Error("the hard link is none")
	}
	if !strings.Contains(out.String(), " "+me.Username+" ") {
		t.Errorf("a listing does not name %s: %s", me.Username, out.String())
	}
}

func stat(t *testing.T, dir, name string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// talk is a conversation, packet by packet.
type talk struct {
	t    *testing.T
	to   io.Writer
	from io.Reader
	last uint32
}

func newTalk(t *testing.T, readOnly bool) *talk {
	t.Helper()
	requests, to := io.Pipe()
	from, answers := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Serve(requests, answers, readOnly) }()
	t.Cleanup(func() {
		to.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	k := &talk{t: t, to: to, from: from}
	k.to.Write(packet{kind: typeInit, id: 3}.bytes())
	if p, err := readPacket(k.from); err != nil || p.kind != typeVersion {
		t.Fatalf("%+v, %v", p, err)
	}
	return k
}

func (k *talk) ask(kind byte, fields any) packet {
	k.t.Helper()
	k.last++
	if _, err := k.to.Write(packet{kind, k.last, ssh.Marshal(fields)}.bytes()); err != nil {
		k.t.Fatal(err)
	}
	answer, err := readPacket(k.from)
	if err != nil || answer.id != k.last {
		k.t.Fatalf("%+v, %v", answer, err)
	}
	return answer
}

// want asks for an extension and wants a status.
func (k *talk) want(status byte, fields any) {
	k.t.Helper()
	if answer := k.ask(typeExtended, fields); answer.kind != typeStatus || answer.body[3] != status {
		k.t.Errorf("%+v: %d %x, want status %d", fields, answer.kind, answer.body, status)
	}
}

func (k *talk) open(path string) string {
	k.t.Helper()
	const read, write, create = 1, 2, 8
	answer := k.ask(typeOpen, struct {
		Path         string
		Flags, Attrs uint32
	}{path, read | write | create, 0})
	var handle struct{ Handle string }
	if answer.kind != typeHandle || ssh.Unmarshal(answer.body, &handle) != nil {
		k.t.Fatalf("open: %d %x", answer.kind, answer.body)
	}
	return handle.Handle
}

type onHandle struct{ Name, Handle string }

type copyRequest struct {
	Name, From   string
	FromAt, Size uint64
	To           string
	ToAt         uint64
}

// Who may only read must not write by what OpenSSH has added to sftp.
func TestWhoMayOnlyReadChangesNothing(t *testing.T) {
	k, dir := newTalk(t, true), t.TempDir()
	path, other := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, file := range []string{path, other} {
		if err := os.WriteFile(file, []byte("0123456789"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(path string) string {
		answer := k.ask(typeOpen, struct {
			Path         string
			Flags, Attrs uint32
		}{path, 1, 0})
		var handle struct{ Handle string }
		if answer.kind != typeHandle || ssh.Unmarshal(answer.body, &handle) != nil {
			t.Fatalf("open to read: %d %x", answer.kind, answer.body)
		}
		return handle.Handle
	}
	const denied = 3
	k.want(denied, copyRequest{"copy-data", read(path), 0, 0, read(other), 5})
	k.want(denied, struct {
		Name, Path        string
		Flags, Permission uint32
	}{"lsetstat@openssh.com", path, 4, 0o777})
	k.want(denied, struct{ Name, From, To string }{"posix-rename@openssh.com", path, filepath.Join(dir, "c")})
	k.want(denied, struct{ Name, From, To string }{"hardlink@openssh.com", path, filepath.Join(dir, "d")})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestExtensions(t *testing.T) {
	k, dir := newTalk(t, false), t.TempDir()
	path, target := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, b := k.open(path), k.open(target)
	k.want(0, onHandle{"fsync@openssh.com", a})
	k.want(4, onHandle{"fsync@openssh.com", "nonesuch"})
	k.want(5, struct{ Name string }{"fsync@openssh.com"})
	k.want(0, copyRequest{"copy-data", a, 2, 3, b, 1})
	k.want(4, copyRequest{"copy-data", a, 0, 0, a, 0})
	if got, err := os.ReadFile(target); string(got) != "\x00234" {
		t.Errorf("copied %q, %v", got, err)
	}
	k.want(0, copyRequest{"copy-data", a, 0, 0, b, 0})
	if got, err := os.ReadFile(target); string(got) != "0123456789" {
		t.Errorf("copied %q, %v", got, err)
	}
	if answer := k.ask(typeExtended, onHandle{"fstatvfs@openssh.com", a}); answer.kind != typeExtendedReply || len(answer.body) != 11*8 {
		t.Errorf("fstatvfs: %d %x", answer.kind, answer.body)
	}
	k.ask(typeClose, struct{ Handle string }{a})
	k.want(4, onHandle{"fsync@openssh.com", a})
	t.Setenv("HOME", dir)
	for path, want := range map[string]string{"~": dir, "~/x/..": dir, "~nonesuch": "", "/": "/"} {
		answer := k.ask(typeExtended, struct{ Name, Path string }{"expand-path@openssh.com", path})
		if want != "" && !bytes.Contains(answer.body, ssh.Marshal(struct{ Path string }{want})) || (want == "") != (answer.kind == typeStatus) {
			t.Errorf("%s expands to %d %q", path, answer.kind, answer.body)
		}
	}
	names := k.ask(typeExtended, struct{ Name, Users, Groups string }{"users-groups-by-id@openssh.com", "\x00\x00\x00\x00\xff\xff\xff\xfe", ""})
	if want := "\x00\x00\x00\x0c\x00\x00\x00\x04root\x00\x00\x00\x00\x00\x00\x00\x00"; string(names.body) != want {
		t.Errorf("names: %q", names.body)
	}
	if unknown := k.ask(typeExtended, struct{ Name string }{"nonesuch"}); unknown.kind != typeStatus || unknown.body[3] != 8 {
		t.Errorf("an unknown extension: %d %x", unknown.kind, unknown.body)
	}
}
