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
	keys := func(args ...string) (string, error) {
		var out bytes.Buffer
		command := newCommand()
		command.SetArgs(append([]string{"keys", "--config", path}, args...))
		command.SetOut(&out)
		err := command.Execute()
		return out.String(), err
	}
	if out, err := keys(); err == nil || !strings.Contains(err.Error(), "no keys yet") || harness.Exists(filepath.Join(dir, "state")) {
		t.Errorf("before the first start: %q, %v", out, err)
	}
	st, err := state.Open(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	host, ca := st.HostKey().PublicKey(), st.UserCA().PublicKey()
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
