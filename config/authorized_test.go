package config

import (
	"fmt"
	"os"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/test/harness"
)

// ownedIn writes a file in an account's home that tests can write.
func ownedIn(t *testing.T, text string) ownedFile {
	t.Helper()
	home := t.TempDir()
	if err := os.Chmod(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(home, ".ssh", "authorized_keys")
	harness.Write(t, path, 0o600, text)
	return ownedFile{path, uint32(os.Geteuid()), home}
}

// The attack: another account of the box writes a key into somebody's file, or
// replaces the file.
func TestAFileOfKeysThatOthersMayWriteIsNotRead(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(f ownedFile) error
		want  string
	}{
		"as it should be":       {func(ownedFile) error { return nil }, ""},
		"the file":              {func(f ownedFile) error { return os.Chmod(f.path, 0o620) }, "others may write"},
		"its directory":         {func(f ownedFile) error { return os.Chmod(filepath.Dir(f.path), 0o772) }, "others may write"},
		"the home":              {func(f ownedFile) error { return os.Chmod(f.home, 0o775) }, "others may write"},
		"a directory for all":   {func(f ownedFile) error { return os.Chmod(f.home, 0o777|os.ModeSticky) }, ""},
		"no file":               {func(f ownedFile) error { return os.Remove(f.path) }, "no such file"},
		"a pipe":                {func(f ownedFile) error { return replace(f.path, "/dev/zero") }, "not a regular file"},
		"a link to it":          {func(f ownedFile) error { return moveAndLink(f.path) }, ""},
		"a link to what's open": {func(f ownedFile) error { return linkToOpen(f.path) }, "others may write"},
	} {
		f := ownedIn(t, "text")
		if err := tt.spoil(f); err != nil {
			t.Fatal(err)
		}
		data, err := f.read()
		if got := fmt.Sprint(err); tt.want == "" && (err != nil || string(data) != "text") || tt.want != "" && (!strings.Contains(got, tt.want) || data != nil) {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if f := ownedIn(t, "text"); os.Geteuid() == 0 {
		if err := os.Chown(f.path, 12345, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := f.read(); err == nil || !strings.Contains(err.Error(), "belongs to another account (uid 12345)") {
			t.Errorf("of another account: %v", err)
		}
	}
}

func replace(path, by string) error {
	os.Remove(path)
	return os.Symlink(by, path)
}

func moveAndLink(path string) error {
	if err := os.Rename(path, path+".real"); err != nil {
		return err
	}
	return os.Symlink(path+".real", path)
}

func linkToOpen(path string) error {
	if err := moveAndLink(path); err != nil {
		return err
	}
	return os.Chmod(path+".real", 0o666)
}

// One invalid line in a file of the gateway's owner makes the whole configuration
// invalid, with the line's number. A file in a home may have invalid lines: they must
// not lock others out.
func TestAFileOfKeys(t *testing.T) {
	t.Chdir(t.TempDir())
	key := publicKeyOf(t)
	harness.Write(t, "right", 0o644, "# dev's\n"+key+" laptop\n\nrestrict,pty "+key+"\n")
	harness.Write(t, "wrong", 0o644, key+"\nenvironment=\"A=b\" "+key+"\nhunter2\n")
	for file, want := range map[string]string{
		"right": "",
		"wrong": "gateway.yaml:2: authorized_keys: wrong:2: option \"environment\" is refused: a variable can run a program before the shell; set it in the host\n" +
			"gateway.yaml:2: authorized_keys: wrong:3: not a public key; write the one line of an id_….pub file, such as \"ssh-ed25519 AAAA… name\"",
	} {
		harness.Write(t, "gateway.yaml", 0o600, "users:\n  dev: {authorized_keys: "+file+", hosts: {a: }}\n")
		c, err := Load("gateway.yaml")
		if got := fmt.Sprint(err); want != "" && got != want || want == "" && (err != nil || len(c.Users[0].Authorized) != 2) {
			t.Errorf("%s: %+v, %v", file, c.Users, err)
		}
	}
}

func TestAFileOfKeysInAHome(t *testing.T) {
	account, err := osuser.Current()
	if err != nil || account.HomeDir == "" {
		t.Skip("who am I?")
	}
	d := &document{path: "gateway.yaml"}
	f, err := d.keysFile("~" + account.Username + "/.ssh/authorized_keys")
	if err != nil || f.path != filepath.Join(account.HomeDir, ".ssh/authorized_keys") || f.home != account.HomeDir {
		t.Errorf("%+v, %v", f, err)
	}
	config := d.config([]byte("users: {dev: {authorized_keys: ~" + account.Username + "/no-such-file, hosts: {a: }}}\n"))
	if d.err() != nil || len(d.warnings) != 1 || !strings.Contains(d.warnings.Error(), "no such file") || config.Policy == nil {
		t.Errorf("%v, warnings %v", d.err(), d.warnings)
	}
}

func TestRevokedIsAFile(t *testing.T) {
	t.Chdir(t.TempDir())
	harness.Write(t, "revoked", 0o644, "serial: 7\nserial: x\n")
	d := &document{path: "gateway.yaml"}
	d.config([]byte("revoked: revoked\nusers: {dev: {keys: [" + publicKeyOf(t) + "], hosts: {a: }}}\n"))
	if err := d.err(); err == nil || !strings.HasPrefix(err.Error(), "gateway.yaml:1: revoked: revoked:2: not a revocation") {
		t.Error(err)
	}
	harness.Write(t, "revoked", 0o666, "serial: 7\n")
	d = &document{path: "gateway.yaml"}
	if d.config([]byte("revoked: revoked\n")); d.err() == nil || !strings.Contains(d.err().Error(), "others may write") {
		t.Error(d.err())
	}
}

// A group in a rule of login stands for its members, wherever these are written. A
// group without members stands for nobody, not for everybody.
func TestARuleIsForTheMembersOfAGroup(t *testing.T) {
	t.Chdir(t.TempDir())
	key := publicKeyOf(t)
	harness.Write(t, "gateway.yaml", 0o600, "login: [{groups: [empty], with: [password]}, {groups: [staff], users: [own], with: [key+totp]}]\n"+
		"groups: {staff: {hosts: {a: }}, empty: }\n"+
		"users: {own: {keys: ["+key+"], hosts: {a: }}, other: {keys: ["+key+"], hosts: {a: }}}\n")
	if err := os.Mkdir("users.d", 0o700); err != nil {
		t.Fatal(err)
	}
	harness.Write(t, "users.d/team.yaml", 0o600, "users: {member: {keys: ["+key+"], groups: [staff]}}\n")
	c, err := Load("gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for user, asked := range map[string]bool{"own": true, "member": true, "other": false} {
		if c.Policy.Asks(user, auth.ByCode) != asked || c.Policy.Asks(user, auth.ByPassword) {
			t.Errorf("%s: asked for a code: %v", user, !asked)
		}
	}
}

// Files that a configuration names are part of it: their changes are noticed.
func TestFilesThatAConfigurationNames(t *testing.T) {
	t.Chdir(t.TempDir())
	harness.WriteKey(t, "host-key", 0o600)
	harness.Write(t, "keys", 0o600, publicKeyOf(t)+"\n")
	text := "revoked: gone\nusers: {dev: {authorized_keys: keys, hosts: {a: }}}\n" +
		"hosts: {b: {route: sshd, address: 'a:1', key_file: host-key, host_key: " + publicKeyOf(t) + "}}\n"
	harness.Write(t, "gateway.yaml", 0o600, text)
	c, err := Load("gateway.yaml")
	if want := []string{"gone", "host-key", "keys"}; err == nil || !slices.Equal(c.Files, want) {
		t.Errorf("%v, %v", c.Files, err)
	}
	before := Stamp("gateway.yaml", c.Files...)
	harness.Write(t, "gone", 0o600, "serial: 7\n")
	if Stamp("gateway.yaml", c.Files...) == before {
		t.Error("a file that was not there is, and nothing has changed")
	}
	if c, err = Load("gateway.yaml"); err != nil || len(c.Files) != 3 {
		t.Errorf("%v, %v", c.Files, err)
	}
	harness.Write(t, "gone", 0o600, "serial: 7")
	if _, err := Load("gateway.yaml"); err == nil || !strings.Contains(err.Error(), "half written") {
		t.Errorf("half of a list: %v", err)
	}
}
