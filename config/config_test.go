package config

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/tools/txtar"

	"berth/configs"
	"berth/hosts"
)

var update = flag.Bool("update", false, "rewrite the expected part of testdata")

// Each case is a gateway.yaml and, as want, either the configuration that it is
// or everything that is wrong with it. A key and an open-key lie beside it.
func TestConfig(t *testing.T) {
	t.Setenv("DOCKER_HOST", "")
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range cases {
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { testConfig(t, path) })
	}
}

func testConfig(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.Files) != 2 || archive.Files[0].Name != "gateway.yaml" || archive.Files[1].Name != "want" {
		t.Fatal("a case is the files gateway.yaml and want")
	}
	t.Chdir(t.TempDir())
	writeFile(t, "gateway.yaml", archive.Files[0].Data, 0o600)
	writeKey(t, "key", 0o600)
	writeKey(t, "open-key", 0o644)

	config, err := Load("gateway.yaml")
	got := render(config)
	if err != nil {
		got = err.Error() + "\n"
	}
	if *update {
		archive.Files[1].Data = []byte(got)
		writeFile(t, path, txtar.Format(archive), 0o644)
		return
	}
	if want := string(archive.Files[1].Data); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	if strings.Contains(got, "hunter2") {
		t.Error("a secret is repeated")
	}
}

func writeFile(t *testing.T, path string, data []byte, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

func writeKey(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, pem.EncodeToMemory(block), mode)
}

// render shows a configuration without the secrets in it.
func render(c Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "listen %s\nstate %s\ndocker %s\nkeepalive %v, wait %v\n", c.Listen, c.State, c.Docker, c.Keepalive, c.Wait)
	for _, u := range c.Users {
		fmt.Fprintf(&b, "user %s: password %v, keys", u.Name, u.Password != "")
		for _, key := range u.Keys {
			fmt.Fprintf(&b, " %s", key.Type())
		}
		fmt.Fprintln(&b)
		for _, host := range slices.Sorted(maps.Keys(u.Hosts)) {
			fmt.Fprintf(&b, "  may enter %s as %q\n", host, u.Hosts[host].Account())
		}
	}
	for _, h := range c.Hosts {
		fmt.Fprintf(&b, "host %s: %s", h.Name, renderHost(h))
	}
	return b.String()
}

func renderHost(h hosts.Entry) string {
	return fmt.Sprintf("route %s, account %q, address %q, container %q, key %v, host key %v\n",
		h.Route, h.Account, h.Address, h.Container, h.Key != nil, h.HostKey != nil)
}

func TestConfigFile(t *testing.T) {
	t.Chdir(t.TempDir())
	hashed := configs.Gateway
	keysOnly := []byte("users: {dev: {keys: [" + publicKeyOf(t) + "]}}\n")
	for _, tt := range []struct {
		name string
		data []byte
		mode fs.FileMode
		want string
	}{
		{name: "own", data: hashed, mode: 0o600},
		{name: "of a group", data: hashed, mode: 0o640},
		{name: "public, without hashes", data: keysOnly, mode: 0o644},
		{name: "public, with hashes", data: hashed, mode: 0o644,
			want: "gateway.yaml: it holds password hashes and everyone may read it (mode 0644); run: chmod o-r gateway.yaml"},
		{name: "writable", data: keysOnly, mode: 0o664,
			want: "gateway.yaml: others may write it (mode 0664); run: chmod go-w gateway.yaml"},
		{name: "large", data: bytes.Repeat([]byte("#"), maxFile+1), mode: 0o600, want: "gateway.yaml: larger than 1024 KiB"},
		{name: "several things", data: []byte("users: {dev: {password: x}}\nlistn: x\n"), mode: 0o602,
			want: "gateway.yaml: others may write it (mode 0602); run: chmod go-w gateway.yaml\n" +
				"gateway.yaml:1: password: not an argon2id or bcrypt hash; make one with: gateway hash-password\n" +
				"gateway.yaml:2: unknown key in the file; did you mean listen?"},
	} {
		writeFile(t, "gateway.yaml", tt.data, tt.mode)
		_, err := Load("gateway.yaml")
		if got := fmt.Sprint(err); got != tt.want && (err != nil || tt.want != "") {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	for path, want := range map[string]string{"nowhere.yaml": "nowhere.yaml: no such file or directory", ".": ".: not a regular file"} {
		if _, err := Load(path); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func publicKeyOf(t *testing.T) string {
	t.Helper()
	writeKey(t, "some-key", 0o600)
	key, err := readKey("some-key")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
}

// The example is right as it stands, and has every key once it is told of a
// private key too.
func TestExample(t *testing.T) {
	t.Chdir(t.TempDir())
	writeKey(t, "old-box_key", 0o600)
	whole := bytes.Replace(configs.Gateway, []byte("# key_file:"), []byte("key_file:"), 1)
	for _, data := range [][]byte{configs.Gateway, whole} {
		d := &document{path: "gateway.yaml"}
		if d.config(data); d.err() != nil {
			t.Errorf("configs/gateway.yaml:\n%v", d.err())
		}
	}
	for _, key := range []string{
		"listen", "state", "docker", "audit", "on_failure", "user_cas", "revoked", "login", "users", "password", "keys", "authorized_keys", "principals", "hosts",
		"route", "address", "container", "account", "key_file", "host_key",
	} {
		if !bytes.Contains(whole, []byte(" "+key+":")) && !bytes.Contains(whole, []byte("\n"+key+":")) {
			t.Errorf("configs/gateway.yaml does not show %s", key)
		}
	}
}

func TestDockerHost(t *testing.T) {
	t.Setenv("DOCKER_HOST", "tcp://engine:2375")
	for data, want := range map[string]string{"": "tcp://engine:2375", "docker: unix:///x.sock": "unix:///x.sock"} {
		if c := (&document{}).config([]byte(data)); c.Docker != want {
			t.Errorf("%q: %s, want %s", data, c.Docker, want)
		}
	}
}

func FuzzConfig(f *testing.F) {
	cases, _ := filepath.Glob("testdata/*.txtar")
	for _, path := range cases {
		if archive, err := txtar.ParseFile(path); err == nil {
			f.Add(archive.Files[0].Data)
		}
	}
	f.Add([]byte("a: &a [*a]\nusers: &b {dev: *b}\nhosts: *b\n? [x]\n: y\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &document{path: "gateway.yaml"}
		config := d.config(data)
		if d.err() == nil && (config.Policy == nil || len(config.Users) == 0) {
			t.Errorf("taken without users or policy: %+v", config)
		}
		for _, e := range d.errs {
			if strings.ContainsAny(e.text, "\n\r") || e.line < 1 || e.line > bytes.Count(data, []byte("\n"))+2 {
				t.Errorf("not one line about a line: %q", e)
			}
		}
	})
}
