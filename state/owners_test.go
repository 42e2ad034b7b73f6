package state

import (
	"path/filepath"
	"testing"
)

func TestAHostNameStaysWithItsFirstOwner(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	want := func(what, got string, err error, owner string) {
		t.Helper()
		if got != owner || err != nil {
			t.Errorf("%s: %q, %v, want %q", what, got, err, owner)
		}
	}
	owner, err := s.Owner("master")
	want("at first", owner, err, "")
	owner, err = s.ClaimHost("master", "service master of project lab")
	want("claimed", owner, err, "service master of project lab")
	owner, err = s.ClaimHost("master", "service master of project evil")
	want("claimed again", owner, err, "service master of project lab")
	want("given", "", s.GiveHost("master", "container other"), "")
	owner, err = s.Owner("master")
	want("after that", owner, err, "container other")
	want("forgotten", "", s.ForgetHost("master"), "")
	want("forgotten again", "", s.ForgetHost("master"), "")
	owner, err = s.ClaimHost("master", "container third")
	want("claimed anew", owner, err, "container third")
}

// A label is whatever somebody likes, and must not lead out of the directory.
func TestANameThatIsAPathHasNoOwner(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "../user_ca", "a/b", "/etc/passwd", ".hidden"} {
		if _, err := s.ClaimHost(name, "x"); err == nil {
			t.Errorf("%q was claimed", name)
		}
		if err := s.ForgetHost(name); err == nil {
			t.Errorf("%q was forgotten", name)
		}
	}
}
