package backup

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/berth-ssh/berth/test/harness"
)

func never([]byte) bool { return false }

// box is a configuration and a state directory.
func box(t *testing.T) (config, state string) {
	t.Helper()
	dir := t.TempDir()
	config, state = filepath.Join(dir, "etc", "gateway.yaml"), filepath.Join(dir, "lib")
	for path, text := range map[string]string{
		config:                                   "users:\n",
		filepath.Join(dir, "etc/users.d/a.yaml"): "users: {}\n",
		filepath.Join(state, "user_ca"):          "a key",
		filepath.Join(state, "owners/master"):    "project",
		filepath.Join(state, "helper/0123"):      "a program",
		filepath.Join(state, ".new-1"):           "half",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		harness.Write(t, path, 0o600, text)
	}
	return config, state
}

// quick encrypts with little work.
func quick(t *testing.T, passphrase string) age.Recipient {
	t.Helper()
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	recipient.SetWorkFactor(10)
	return recipient
}

func backupOf(t *testing.T, config, state string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := write(&out, quick(t, "horse battery"), Manifest{format, "v1", time.Now(), config, state}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestABoxIsMoved(t *testing.T) {
	config, state := box(t)
	data := backupOf(t, config, state)
	if bytes.Contains(data, []byte("a key")) || bytes.Contains(data, []byte("user_ca")) {
		t.Error("it is not encrypted")
	}
	if _, err := Restore(bytes.NewReader(data), "horse battery", "", "", never); err == nil || !strings.Contains(err.Error(), "exists, and is not replaced") {
		t.Errorf("over what is there: %v", err)
	}
	if _, err := Restore(bytes.NewReader(data), "horse", t.TempDir()+"/g.yaml", t.TempDir()+"/lib", never); err == nil || err.Error() != "the passphrase is not that of this backup" {
		t.Errorf("with another passphrase: %v", err)
	}
	dir := t.TempDir()
	to, lib := filepath.Join(dir, "new", "g.yaml"), filepath.Join(dir, "lib")
	manifest, err := Restore(bytes.NewReader(data), "horse battery", to, lib, never)
	if err != nil || manifest.Config != to || manifest.State != lib || manifest.Version != "v1" {
		t.Fatalf("%+v, %v", manifest, err)
	}
	for path, want := range map[string]string{
		to:                                       "users:\n",
		filepath.Join(dir, "new/users.d/a.yaml"): "users: {}\n",
		filepath.Join(lib, "user_ca"):            "a key",
		filepath.Join(lib, "owners/master"):      "project",
	} {
		if got := harness.Read(t, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	for _, name := range []string{"helper", ".new-1"} {
		if _, err := os.Stat(filepath.Join(lib, name)); err == nil {
			t.Errorf("%s is restored", name)
		}
	}
	if info, err := os.Stat(lib); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the state directory: %v, %v", info.Mode(), err)
	}
}

// The configuration of a fresh install is replaced, and nothing else.
func TestRestoreReplacesNobodysWorkOnly(t *testing.T) {
	config, state := box(t)
	data := backupOf(t, config, state)
	os.RemoveAll(state)
	harness.Write(t, config, 0o600, "# fresh\n")
	isFresh := func(text []byte) bool { return string(text) == "# fresh\n" }
	if _, err := Restore(bytes.NewReader(data), "horse battery", "", "", isFresh); err != nil || harness.Read(t, config) != "users:\n" {
		t.Errorf("%v: %q", err, harness.Read(t, config))
	}
}

// A backup that is cut anywhere leaves nothing.
func TestABrokenBackupWritesNothing(t *testing.T) {
	config, state := box(t)
	data := backupOf(t, config, state)
	for _, cut := range []int{0, 10, 250, len(data) / 2, len(data) - 1} {
		dir := filepath.Join(t.TempDir(), "new")
		if _, err := Restore(bytes.NewReader(data[:cut]), "horse battery", dir+"/g.yaml", dir+"/lib", never); err == nil {
			t.Errorf("cut at %d: no error", cut)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("cut at %d: something was written", cut)
		}
	}
}

// The attack: a backup that somebody gives to the owner writes elsewhere.
func TestABackupWritesNowhereElse(t *testing.T) {
	for _, header := range []tar.Header{
		{Name: "state/../../evil", Typeflag: tar.TypeReg},
		{Name: "/etc/evil", Typeflag: tar.TypeReg},
		{Name: "other/evil", Typeflag: tar.TypeReg},
		{Name: "state/link", Typeflag: tar.TypeSymlink, Linkname: "/etc"},
	} {
		var out bytes.Buffer
		encrypted, err := age.Encrypt(&out, quick(t, "p"))
		if err != nil {
			t.Fatal(err)
		}
		zipped := gzip.NewWriter(encrypted)
		w := tar.NewWriter(zipped)
		add(w, manifestName, []byte(`{"format":1}`), 0o600)
		w.WriteHeader(&header)
		for _, c := range []io.Closer{w, zipped, encrypted} {
			c.Close()
		}
		dir := filepath.Join(t.TempDir(), "new")
		if _, err := Restore(&out, "p", dir+"/g.yaml", dir+"/lib", never); err == nil || !strings.Contains(err.Error(), "does not belong into one") {
			t.Errorf("%s: %v", header.Name, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: something was written", header.Name)
		}
	}
}
