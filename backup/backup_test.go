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
		filepath.Join(state, "recordings/d/1"):   "much",
		filepath.Join(state, "audit.jsonl"):      "{}\n",
		filepath.Join(state, "audit.jsonl.1"):    "{}\n",
		filepath.Join(dir, "git/b.yaml"):         "users: {}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		harness.Write(t, path, 0o600, text)
	}
	for link, to := range map[string]string{"etc/users.d/b.yaml": "git/b.yaml", "linked": "lib"} {
		if err := os.Symlink(filepath.Join(dir, to), filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return config, filepath.Join(dir, "linked")
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
	box := Box{Config: config, State: state, Recordings: filepath.Join(state, "recordings"), Audit: filepath.Join(state, "audit.jsonl")}
	if err := write(&out, quick(t, "horse battery"), "v1", box); err != nil {
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
		filepath.Join(dir, "new/users.d/b.yaml"): "users: {}\n",
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
	for _, name := range []string{"helper", ".new-1", "recordings", "audit.jsonl", "audit.jsonl.1"} {
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
	restore := func() error {
		_, err := Restore(bytes.NewReader(data), "horse battery", "", "", isFresh)
		return err
	}
	if err := restore(); err == nil || !strings.Contains(err.Error(), "users.d exists, and is not replaced") {
		t.Errorf("over users: %v", err)
	}
	os.RemoveAll(filepath.Join(filepath.Dir(config), "users.d"))
	if err := restore(); err != nil || harness.Read(t, config) != "users:\n" {
		t.Errorf("%v: %q", err, harness.Read(t, config))
	}
}

// Where a restore fails, as on a full disk, it has written nothing: neither half of the
// keys, beside which a gateway would make others, nor the configuration.
func TestARestoreThatFailsLeavesNothing(t *testing.T) {
	var files []tar.Header
	for _, name := range []string{"config/gateway.yaml", "config/users.d/a.yaml", "state/keys/one", "state/user_ca", "state/user_ca/below a file"} {
		files = append(files, tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600})
	}
	data := made(t, files...)
	dir := t.TempDir()
	config, state := filepath.Join(dir, "etc/g.yaml"), filepath.Join(dir, "lib")
	if err := os.Mkdir(filepath.Dir(config), 0o700); err != nil {
		t.Fatal(err)
	}
	harness.Write(t, config, 0o600, "# fresh\n")
	if _, err := Restore(data, "p", config, state, func([]byte) bool { return true }); err == nil || strings.Contains(err.Error(), "broken") {
		t.Errorf("%v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*/*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, "*/.*"))
	if left = append(left, hidden...); err != nil || len(left) != 1 || harness.Read(t, config) != "# fresh\n" {
		t.Errorf("it leaves %q", left)
	}
}

// What is larger than a restore takes makes no backup, which nobody could use.
func TestABackupThatNobodyCouldRestore(t *testing.T) {
	config, state := box(t)
	large := filepath.Join(state, "large")
	harness.Write(t, large, 0o600, "")
	if err := os.Truncate(large, maxFile+1); err != nil {
		t.Fatal(err)
	}
	err := write(io.Discard, quick(t, "p"), "v1", Box{Config: config, State: state})
	if err == nil || !strings.Contains(err.Error(), "/lib/large has 67108865 bytes") {
		t.Errorf("%v", err)
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

// made is a backup of empty files, with the passphrase p.
func made(t *testing.T, files ...tar.Header) io.Reader {
	t.Helper()
	var out bytes.Buffer
	encrypted, err := age.Encrypt(&out, quick(t, "p"))
	if err != nil {
		t.Fatal(err)
	}
	zipped := gzip.NewWriter(encrypted)
	w := tar.NewWriter(zipped)
	add(w, manifestName, []byte(`{"format":1}`), 0o600)
	for _, header := range files {
		w.WriteHeader(&header)
	}
	for _, c := range []io.Closer{w, zipped, encrypted} {
		c.Close()
	}
	return &out
}

// The attack: a backup that somebody gives to the owner writes elsewhere.
func TestABackupWritesNowhereElse(t *testing.T) {
	for _, header := range []tar.Header{
		{Name: "state/../../evil", Typeflag: tar.TypeReg},
		{Name: "/etc/evil", Typeflag: tar.TypeReg},
		{Name: "other/evil", Typeflag: tar.TypeReg},
		{Name: "state/link", Typeflag: tar.TypeSymlink, Linkname: "/etc"},
	} {
		out := made(t, header)
		dir := filepath.Join(t.TempDir(), "new")
		if _, err := Restore(out, "p", dir+"/g.yaml", dir+"/lib", never); err == nil || !strings.Contains(err.Error(), "does not belong into one") {
			t.Errorf("%s: %v", header.Name, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: something was written", header.Name)
		}
	}
}
