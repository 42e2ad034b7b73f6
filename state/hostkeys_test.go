package state

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// prints are the fingerprints of host keys: those that are shown, and the next ones.
func prints(t *testing.T, s *State) (shown, next []string) {
	t.Helper()
	keys, err := s.HostKeys(false)
	if err != nil {
		t.Fatal(err)
	}
	shown = []string{fingerprint(keys.Key)}
	for _, key := range keys.Others {
		shown = append(shown, fingerprint(key))
	}
	for _, key := range keys.Next {
		next = append(next, fingerprint(key))
	}
	return shown, next
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestOtherHostKeysAreMadeWhenTheyAreWanted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	if shown, _ := prints(t, s); len(shown) != 1 {
		t.Errorf("%d keys are there at first", len(shown))
	}
	made, err := s.HostKeys(true)
	must(t, err)
	shown, _ := prints(t, open(t, dir))
	if len(shown) != 3 || fingerprint(made.Others[1]) != shown[2] {
		t.Errorf("then %d", len(shown))
	}
}

// Each key that there is gets one that takes its place, when somebody says so.
func TestHostKeysAreRotated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	_, err := s.HostKeys(true)
	must(t, err, s.RotateHostKeys(time.Time{}))
	old, next := prints(t, open(t, dir))
	if len(old) != 3 || len(next) != 3 || slices.Contains(old, next[0]) {
		t.Fatalf("shown %q, then %q", old, next)
	}
	if err := s.RotateHostKeys(time.Time{}); !errors.Is(err, errRotating) {
		t.Errorf("a second rotation: %v", err)
	}
	must(t, s.FinishHostKeys())
	if shown, after := prints(t, open(t, dir)); !slices.Equal(shown, next) || len(after) != 0 {
		t.Errorf("shown %q, want %q; then %q", shown, next, after)
	}
	must(t, s.FinishHostKeys()) // has nothing to do
	must(t, s.RotateHostKeys(time.Now().Add(time.Hour)), s.CancelHostKeys())
	if shown, after := prints(t, open(t, dir)); !slices.Equal(shown, next) || len(after) != 0 {
		t.Errorf("after one that was cancelled: shown %q, then %q", shown, after)
	}
}

// A process that keeps the keys shows the next ones when their time has come, with
// nobody telling it.
func TestTheNextHostKeysAreDue(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	must(t, s.RotateHostKeys(time.Now().Add(time.Hour)))
	_, err := s.ReadHostKeys()
	must(t, err)
	old, next := prints(t, s)
	if len(next) != 1 || s.hostKeys.At.IsZero() {
		t.Fatalf("shown %q, then %q", old, next)
	}
	due := time.Now().Add(-time.Minute)
	must(t, s.hostKeyRotation().setTime(due))
	s.hostKeys.At = due
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if shown, after := prints(t, s); !slices.Equal(shown, next) || len(after) != 0 {
				t.Errorf("when it is time, %q is shown, then %q", shown, after)
			}
		})
	}
	all.Wait()
	if left, _ := filepath.Glob(filepath.Join(dir, "*next*")); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

func TestATimeThatIsNoneIsNoEndOfARotation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	must(t, s.RotateHostKeys(time.Time{}), os.WriteFile(filepath.Join(dir, hostKeyTime), []byte("tomorrow\n"), 0o600))
	if _, err := s.ReadHostKeys(); err == nil {
		t.Error("it is taken for one")
	}
	if shown, _ := prints(t, s); len(shown) != 1 {
		t.Error("the keys that were read before are lost")
	}
}
