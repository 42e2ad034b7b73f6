package test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// makeKey makes an ed25519 key pair and returns the private half's path.
func makeKey(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path))
	return path
}

// publicKey is the type and the key of a private key's file.
func publicKey(t *testing.T, path string) string {
	t.Helper()
	fields := strings.Fields(must(t, exec.Command("ssh-keygen", "-y", "-f", path)))
	return strings.Join(fields[:2], " ")
}
