package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The attack: an account of the box replaces its file of keys by a pipe just before
// it is read, so that the reading never ends.
func TestAFileThatBecomesAPipeHoldsNothingUp(t *testing.T) {
	dir := t.TempDir()
	path, file, pipe := filepath.Join(dir, "keys"), filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for range 20_000 {
			readFile(path)
		}
	}()
	for end := time.Now().Add(30 * time.Second); ; {
		os.WriteFile(file, nil, 0o600)
		unix.Mkfifo(pipe, 0o600)
		os.Rename(pipe, path)
		os.Rename(file, path)
		select {
		case <-read:
			return
		default:
		}
		if time.Now().After(end) {
			t.Fatal("it waits for the pipe's other end")
		}
	}
}
