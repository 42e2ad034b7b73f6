package state

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestKeysAreMadeOnceAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first, second := open(t, dir), open(t, dir)
	if fingerprint(first.HostKey()) != fingerprint(second.HostKey()) {
		t.Error("the host key changed")
	}
	if fingerprint(first.UserCA().Key) != fingerprint(second.UserCA().Key) {
		t.Error("the user CA changed")
	}
	if fingerprint(first.HostKey()) == fingerprint(first.UserCA().Key) {
		t.Error("the host key and the user CA are one key")
	}
}

func TestTwoProcessesAtOnceGetTheSameKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	var wait sync.WaitGroup
	prints := make([]string, 8)
	for i := range prints {
		wait.Go(func() {
			if s, err := Open(dir); err == nil {
				prints[i] = fingerprint(s.HostKey()) + fingerprint(s.UserCA().Key)
			}
		})
	}
	wait.Wait()
	for _, print := range prints {
		if print == "" || print != prints[0] {
			t.Fatalf("different keys: %q", prints)
		}
	}
}

func TestOthersMayNotReadIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	open(t, dir)
	filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v (%v)", path, info.Mode(), err)
		}
		return nil
	})
	os.Chmod(dir, 0o755)
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "chmod 0700") {
		t.Errorf("a directory open to others: %v", err)
	}
}

func TestADamagedKeyIsNotReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	open(t, dir)
	path := filepath.Join(dir, hostKeyFile)
	os.WriteFile(path, []byte("not a key"), 0o600)
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that names %s", err, path)
	}
}

func TestPinsLastAsLongAsTheContainer(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state"))
	const id = "0123456789abcdef"
	if keys, err := s.PinnedHostKeys(id); err != nil || len(keys) != 0 {
		t.Fatalf("a container never seen: %v, %v", keys, err)
	}
	key := newKey(t)
	if err := s.PinHostKeys(id, []ssh.PublicKey{key}); err != nil {
		t.Fatal(err)
	}
	if err := s.PinHostKeys(id, []ssh.PublicKey{newKey(t)}); err == nil {
		t.Error("a pin was replaced")
	}
	keys, err := s.PinnedHostKeys(id)
	if err != nil || len(keys) != 1 || string(keys[0].Marshal()) != string(key.Marshal()) {
		t.Errorf("read back %v, %v", keys, err)
	}
	for range 2 {
		if err := s.ForgetHostKeys(id); err != nil {
			t.Error(err)
		}
	}
}

func TestAPinStaysInItsDirectory(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state"))
	if path := s.pinFile("../../etc/passwd"); filepath.Dir(path) != filepath.Join(s.Dir(), pinsDir) {
		t.Errorf("a strange id leads to %s", path)
	}
}

// Whatever a file holds, its keys are read whole or it is refused: no key is
// lost, and the keys come back as they are written.
func FuzzParsePublicKeys(f *testing.F) {
	const known = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio"
	f.Add([]byte(known + " comment\n"))
	f.Add([]byte(known + "\n\n" + known + "\n"))
	f.Add([]byte("# nothing\n\n"))
	f.Add([]byte(known + "\nssh-ed25519 AAAA\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := ParsePublicKeys(text)
		if err != nil {
			if keys != nil {
				t.Errorf("%v, and yet %d keys", err, len(keys))
			}
			return
		}
		again, err := ParsePublicKeys(append(marshalKeys(keys), known...))
		if err != nil || len(again) != len(keys)+1 {
			t.Fatalf("%d keys and one more are read back as %d, %v", len(keys), len(again), err)
		}
		if !bytes.Equal(marshalKeys(again), append(marshalKeys(keys), known+"\n"...)) {
			t.Errorf("%s became %s", marshalKeys(keys), marshalKeys(again))
		}
		if whole, err := ParsePublicKeys([]byte(string(text) + "\n" + known)); err != nil || len(whole) != len(again) {
			t.Errorf("with one key more %d are read, %v; want %d", len(whole), err, len(again))
		}
	})
}

func marshalKeys(keys []ssh.PublicKey) []byte {
	var text []byte
	for _, key := range keys {
		text = append(text, ssh.MarshalAuthorizedKey(key)...)
	}
	return text
}

func open(t *testing.T, dir string) *State {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fingerprint(signer ssh.Signer) string { return ssh.FingerprintSHA256(signer.PublicKey()) }

func newKey(t *testing.T) ssh.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
