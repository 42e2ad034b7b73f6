package state

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestTheLogKeyIsMadeOnceAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first, err := open(t, dir).LogKey()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := open(t, dir).LogKey(); err != nil || !bytes.Equal(first, again) {
		t.Errorf("again: %v", err)
	}
	if other, err := open(t, filepath.Join(t.TempDir(), "state")).LogKey(); err != nil || bytes.Equal(first, other) {
		t.Errorf("another box has the same: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, logKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its file: %v, %v", info, err)
	}
	if err := os.Truncate(filepath.Join(dir, logKeyFile), 3); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir).LogKey(); err == nil {
		t.Error("a key of 3 bytes is taken")
	}
}
