package harness

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// MakeKey creates an ed25519 key pair and returns the path of the private half.
func MakeKey(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	Must(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path))
	return path
}

// WriteKey writes a new ed25519 private key, without ssh-keygen.
func WriteKey(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	Write(t, path, mode, string(pem.EncodeToMemory(block)))
}

// PublicKey returns the type and the key of the public half of a private key's file.
func PublicKey(t *testing.T, path string) string {
	t.Helper()
	fields := strings.Fields(Must(t, exec.Command("ssh-keygen", "-y", "-f", path)))
	return strings.Join(fields[:2], " ")
}

// HashOf returns the hash of a password for gateway.yaml.
func HashOf(t *testing.T, password string) string {
	t.Helper()
	command := exec.Command(Program("gateway"), "hash-password")
	command.Stdin = strings.NewReader(password)
	return strings.TrimSpace(Must(t, command))
}
