package state

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// newKeys are the keys of a new gateway.
func newKeys(t *testing.T) (keys map[string][]byte, from *State) {
	t.Helper()
	from = open(t, filepath.Join(t.TempDir(), "state"))
	keys, err := from.Keys()
	must(t, err)
	return keys, from
}

// given is a directory with these files.
func given(t *testing.T, keys map[string][]byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range keys {
		harness.Write(t, filepath.Join(dir, name), 0o400, string(text))
	}
	return dir
}

// Several gateways with the same keys are one to clients and hosts, and none of them makes
// or changes a key.
func TestGatewaysHaveTheKeysThatTheyAreGiven(t *testing.T) {
	keys, from := newKeys(t)
	dir := given(t, keys)
	want, _ := prints(t, from)
	before := listing(t, dir)
	for range 2 {
		own := filepath.Join(t.TempDir(), "state")
		s, err := OpenWithKeys(own, dir)
		must(t, err)
		keys, err := s.HostKeys(true)
		must(t, err)
		if len(want) != 3 || fingerprint(keys.Key) != want[0] || fingerprint(keys.Others[0]) != want[1] || fingerprint(keys.Others[1]) != want[2] {
			t.Errorf("other host keys than those that were given")
		}
		if fingerprint(s.UserCA().Key) != fingerprint(from.UserCA().Key) {
			t.Error("another user CA")
		}
		mine, err := s.LogKey()
		theirs, _ := from.LogKey()
		if err != nil || string(mine) != string(theirs) {
			t.Errorf("another log key: %v", err)
		}
		for what, err := range map[string]error{
			"rotate host keys": s.RotateHostKeys(time.Time{}), "finish host keys": s.FinishHostKeys(), "cancel host keys": s.CancelHostKeys(),
			"rotate the CA": s.RotateUserCA(), "finish the CA": s.FinishUserCA(), "cancel the CA": s.CancelUserCA(),
		} {
			if err == nil || !strings.Contains(err.Error(), "the keys are given in "+dir) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if made := listing(t, own); strings.Contains(made, "key") || strings.Contains(made, "user_ca") {
			t.Errorf("its own directory has keys: %s", made)
		}
	}
	if after := listing(t, dir); after != before {
		t.Errorf("the directory of the keys is %s, was %s", after, before)
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return strings.Join(names, " ")
}

// The next host key of a rotation is given as a file beside, and so is its time: all
// gateways show it from the same moment.
func TestARotationThatIsGiven(t *testing.T) {
	from := open(t, filepath.Join(t.TempDir(), "state"))
	must(t, from.RotateHostKeys(time.Now().Add(time.Hour)), from.ReadKeys())
	_, next := prints(t, from)
	for _, due := range []bool{false, true} {
		if due {
			must(t, from.hostKeyRotation().setTime(time.Now().Add(-time.Hour)))
		}
		keys := map[string][]byte{logKeyFile: bytes.Repeat([]byte("x"), secretSize)}
		for _, name := range strings.Fields(listing(t, from.dir)) {
			keys[name], _ = os.ReadFile(filepath.Join(from.dir, name)) // directories have none
		}
		s, err := OpenWithKeys(filepath.Join(t.TempDir(), "state"), given(t, keys))
		must(t, err)
		shown, announced := prints(t, s)
		if isNext := shown[0] == next[0]; isNext != due || due == (len(announced) > 0) {
			t.Errorf("due %v: shown %q, then %q; the next is %q", due, shown, announced, next)
		}
	}
}

func TestKeysThatAreGivenAreCompleteAndNobodyElses(t *testing.T) {
	keys, _ := newKeys(t)
	for what, spoil := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"readable for everybody": {func(dir string) error { return os.Chmod(filepath.Join(dir, "user_ca"), 0o444) }, "user_ca may be read or changed by others (mode 0444)"},
		"writable for a group":   {func(dir string) error { return os.Chmod(filepath.Join(dir, hostKeyFile), 0o460) }, "may be read or changed by others (mode 0460)"},
		"no user CA":             {func(dir string) error { return os.Remove(filepath.Join(dir, "user_ca")) }, "lack user_ca; berth-gateway keys secret prints all that are needed"},
		"no log key":             {func(dir string) error { return os.Remove(filepath.Join(dir, "log_key")) }, "lack log_key"},
		"a key that is none":     {func(dir string) error { return os.WriteFile(filepath.Join(dir, hostKeyFile), []byte("x"), 0o600) }, "is not a private key"},
	} {
		dir := given(t, keys)
		os.Chmod(filepath.Join(dir, hostKeyFile), 0o600)
		must(t, spoil.change(dir))
		if _, err := OpenWithKeys(filepath.Join(t.TempDir(), "state"), dir); err == nil || !strings.Contains(err.Error(), spoil.want) {
			t.Errorf("%s: %v, want %s", what, err, spoil.want)
		}
	}
	dir := given(t, keys)
	must(t, os.Remove(filepath.Join(dir, "ssh_host_rsa_key")), os.Chmod(filepath.Join(dir, "user_ca"), 0o440))
	s, err := OpenWithKeys(filepath.Join(t.TempDir(), "state"), dir)
	must(t, err)
	if keys, err := s.HostKeys(true); err != nil || len(keys.Others) != 1 {
		t.Errorf("without a key for old clients: %d others, %v", len(keys.Others), err)
	}
}
