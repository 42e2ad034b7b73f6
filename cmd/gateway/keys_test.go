package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/state"
	"github.com/berth-ssh/berth/test/harness"
)

func TestKeysOfTheGateway(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gateway.yaml")
	harness.Write(t, path, 0o600, "listen: :2222\nstate: "+filepath.Join(dir, "state")+"\nusers:\n")
	keys := func(args ...string) (string, error) { return runKeys(path, args...) }
	if out, err := keys(); err == nil || !strings.Contains(err.Error(), "no keys yet") || harness.Exists(filepath.Join(dir, "state")) {
		t.Errorf("before the first start: %q, %v", out, err)
	}
	st, err := state.Open(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	host, ca := st.HostKey().PublicKey(), st.UserCA().Key.PublicKey()
	want := "host key  " + ssh.FingerprintSHA256(host) + "  ed25519\nuser CA   " + ssh.FingerprintSHA256(ca) + "  ed25519\n"
	if out, err := keys(); err != nil || out != want {
		t.Errorf("%q, %v", out, err)
	}
	for name, address := range map[string]string{"gpu-box": "[gpu-box]:2222", "192.0.2.1": "[192.0.2.1]:2222"} {
		want := address + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host))) + "\n"
		if out, err := keys("--known-hosts", name); err != nil || out != want {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

// A new host key is made beside the old one, shown in lists until it takes its place,
// and can be taken back.
func TestKeysRotate(t *testing.T) {
	keys, st := keysOf(t)
	old := ssh.FingerprintSHA256(st.HostKey().PublicKey())
	for _, args := range [][]string{{"rotate"}, {"rotate", "user"}, {"rotate", "host-key", "--finish"}, {"rotate", "host-key", "--cancel"}, {"rotate", "host-key", "--after", "0s"}, {"rotate", "host-key", "--finish", "--cancel"}} {
		if out, err := keys(args...); err == nil {
			t.Errorf("%q: %q", args, out)
		}
	}
	out, err := keys("rotate", "host-key", "--after", "48h")
	if lines := strings.Split(out, "\n"); err != nil || !strings.HasPrefix(out, "host key ") || !strings.Contains(lines[0], old) || !strings.HasPrefix(lines[1], "next host key, from 20") {
		t.Fatalf("%q, %v", out, err)
	}
	if again, err := keys("rotate", "host-key"); err == nil {
		t.Errorf("a second time: %q", again)
	}
	if out, err := keys("--known-hosts", "gpu-box"); err != nil || strings.Count(out, "\n") != 2 {
		t.Errorf("of a known_hosts file: %q, %v", out, err)
	}
	if out, err := keys("rotate", "host-key", "--cancel"); err != nil || !strings.Contains(out, old) || strings.Contains(out, "next") {
		t.Errorf("taken back: %q, %v", out, err)
	}
	if out, err = keys("rotate", "host-key"); err != nil {
		t.Fatal(err)
	}
	next := strings.Fields(strings.Split(out, "\n")[1])[6]
	if out, err := keys("rotate", "host-key", "--finish"); err != nil || !strings.HasPrefix(out, "host key  "+next) || strings.Contains(out, old) {
		t.Errorf("finished: %q, %v, want %s", out, err, next)
	}
}

// keysOf runs the command keys on a state directory that a gateway has made.
func keysOf(t *testing.T) (keys func(args ...string) (string, error), st *state.State) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "gateway.yaml")
	harness.Write(t, path, 0o600, "listen: :2222\nstate: "+filepath.Join(dir, "state")+"\nusers:\n")
	st, err := state.Open(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	return func(args ...string) (string, error) { return runKeys(path, args...) }, st
}

func runKeys(path string, args ...string) (string, error) {
	var out bytes.Buffer
	command := newCommand()
	command.SetArgs(append([]string{"keys"}, append(args, "--config", path)...))
	command.SetOut(&out)
	err := command.Execute()
	return out.String(), err
}
