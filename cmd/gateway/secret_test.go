package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/state"
	"github.com/berth-ssh/berth/test/harness"
)

// What keys secret prints is all that gateways with the same keys need, whether it is made
// for them or that of a gateway on a box.
func TestKeysAsASecret(t *testing.T) {
	keys, st := keysOf(t)
	own, err := keys("secret")
	if err != nil || ssh.FingerprintSHA256(opened(t, own).HostKey().PublicKey()) != ssh.FingerprintSHA256(st.HostKey().PublicKey()) {
		t.Errorf("of the gateway of this box: %v", err)
	}
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	var made []string
	for range 2 {
		text, _, err := runCommand(strings.NewReader(""), "keys", "secret", "--new", "--name", "gate")
		if err != nil || !strings.Contains(text, `"name": "gate"`) {
			t.Fatalf("%v, %s", err, text)
		}
		made = append(made, ssh.FingerprintSHA256(opened(t, text).HostKey().PublicKey()))
	}
	if made[0] == made[1] {
		t.Error("new ones are always the same")
	}
	if left, _ := os.ReadDir(temporary); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// opened are the keys of a Secret as a gateway takes them.
func opened(t *testing.T, text string) *state.State {
	t.Helper()
	var made secret
	if err := json.Unmarshal([]byte(text), &made); err != nil || made.Kind != "Secret" {
		t.Fatalf("%v\n%s", err, text)
	}
	dir := t.TempDir()
	for name, file := range made.Data {
		harness.Write(t, filepath.Join(dir, name), 0o400, string(file))
	}
	st, err := state.OpenWithKeys(filepath.Join(t.TempDir(), "state"), dir)
	if err != nil {
		t.Fatal(err)
	}
	if others, err := st.HostKeys(false); err != nil || len(others.Others) != 2 {
		t.Errorf("%d keys for old clients, %v", len(others.Others), err)
	}
	return st
}
