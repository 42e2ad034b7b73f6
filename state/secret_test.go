package state

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestTheSecretIsMadeOnceAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	var wait sync.WaitGroup
	secrets := make([]string, 8)
	for i := range secrets {
		wait.Go(func() {
			secret, err := s.Secret()
			if err != nil {
				t.Error(err)
			}
			secrets[i] = string(secret)
		})
	}
	wait.Wait()
	if secrets[0] == "" || len(slices.Compact(secrets)) != 1 {
		t.Errorf("several at once: %q", secrets)
	}
	if other, err := open(t, filepath.Join(t.TempDir(), "state")).Secret(); err != nil || string(other) == secrets[0] {
		t.Errorf("another box has the same: %v", err)
	}
	if err := os.Truncate(filepath.Join(dir, secretFile), 3); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Secret(); err == nil {
		t.Error("a secret of 3 bytes is taken")
	}
}

func TestWhatWasUnmarkedIsAskedOnce(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state"))
	for _, there := range [][]string{{"a", "b"}, {"a", "b", "late"}} {
		ids, err := s.Unmarked(func() []string { return there })
		if err != nil || !slices.Equal(ids, []string{"a", "b"}) {
			t.Errorf("got %q, %v", ids, err)
		}
	}
	none := open(t, filepath.Join(t.TempDir(), "state"))
	for _, there := range [][]string{nil, {"late"}} {
		if ids, err := none.Unmarked(func() []string { return there }); err != nil || len(ids) > 0 {
			t.Errorf("got %q, %v", ids, err)
		}
	}
}

// An account of the box makes the directory before root does, and so reads every key
// that root then puts there.
func TestAttackByAStateDirectoryOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away")
	}
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 1234, 1234); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "belongs to uid 1234") {
		t.Errorf("opened: %v", err)
	}
	if made, _ := os.ReadDir(dir); len(made) > 0 {
		t.Errorf("something was put there: %v", made)
	}
}
