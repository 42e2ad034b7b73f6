package test

import (
	"os"
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

// must runs a command that has to succeed.
func must(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, out, stderr.String())
	}
	return string(out)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
