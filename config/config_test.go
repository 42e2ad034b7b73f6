package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/tools/txtar"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/configs"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/test/harness"
)

var update = flag.Bool("update", false, "rewrite the expected part of testdata")

// Each case is a gateway.yaml and, in want, the resulting configuration or all of the
// file's errors. A key and an open-key are in the same directory.
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
	last := len(archive.Files) - 1
	if last < 1 || archive.Files[0].Name != "gateway.yaml" || archive.Files[last].Name != "want" {
		t.Fatal("a case is the file gateway.yaml, files of users.d, and want")
	}
	t.Chdir(t.TempDir())
	for _, file := range archive.Files[:last] {
		if err := os.MkdirAll(filepath.Dir(file.Name), 0o700); err != nil {
			t.Fatal(err)
		}
		harness.Write(t, file.Name, 0o600, string(file.Data))
	}
	harness.WriteKey(t, "key", 0o600)
	harness.WriteKey(t, "open-key", 0o644)

	config, err := Load("gateway.yaml")
	got := render(config)
	if err != nil {
		got = err.Error() + "\n"
	}
	if *update {
		archive.Files[last].Data = []byte(got)
		harness.Write(t, path, 0o644, string(txtar.Format(archive)))
		return
	}
	if want := string(archive.Files[last].Data); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	if strings.Contains(got, "hunter2") {
		t.Error("a secret is repeated")
	}
}

// render prints a configuration without its secrets.
func render(c Config) string {
	var b strings.Builder
	if c.Proxies != nil {
		fmt.Fprintf(&b, "proxies %v\n", c.Proxies)
	}
	fmt.Fprintf(&b, "listen %s\nstate %s\ndocker %s\nkeepalive %v, wait %v\n", c.Listen, c.State, c.Docker, c.Keepalive, c.Wait)
	if len(c.Exempt) > 0 || c.LogUnknownUsers {
		fmt.Fprintf(&b, "exempt %v, unknown users logged %v\n", c.Exempt, c.LogUnknownUsers)
	}
	for _, u := range c.Users {
		fmt.Fprintf(&b, "user %s: password %v, keys", u.Name, u.Password != "")
		for _, key := range u.Keys {
			fmt.Fprintf(&b, " %s", key.Type())
		}
		fmt.Fprintln(&b)
		for _, host := range slices.Sorted(maps.Keys(u.Hosts)) {
			fmt.Fprintf(&b, "  may enter %s as %q%s\n", host, u.Hosts[host].Account(), renderGrant(u.Hosts[host]))
		}
		if limits := c.Policy.Limits(auth.Identity{User: u.Name}); limits != (auth.Limits{}) {
			fmt.Fprintf(&b, "  limits %+v\n", limits)
		}
		for _, service := range slices.Sorted(maps.Keys(u.At)) {
			fmt.Fprintf(&b, "  is %q at %s\n", u.At[service], service)
		}
		for _, group := range u.Groups {
			for _, host := range slices.Sorted(maps.Keys(group.Hosts)) {
				fmt.Fprintf(&b, "  may enter %s as %q by %s%s\n", host, group.Hosts[host].Account(), group.Name, renderGrant(group.Hosts[host]))
			}
		}
	}
	for _, group := range c.Groups {
		fmt.Fprintf(&b, "group %s: %v, may enter %d\n", group.Name, group.At, len(group.Hosts))
	}
	for _, h := range c.Hosts {
		fmt.Fprintf(&b, "host %s: %s", h.Name, renderHost(h))
	}
	if c.LDAP != nil {
		fmt.Fprintf(&b, "ldap %+v\n", *c.LDAP)
	}
	if c.OIDC != nil {
		fmt.Fprintf(&b, "oidc %+v\n", *c.OIDC)
	}
	return b.String()
}

// renderGrant prints what differs from a plain grant of one account.
func renderGrant(g auth.Grant) string {
	var text string
	if len(g.Accounts) > 1 {
		text += fmt.Sprintf(" accounts %q", g.Accounts)
	}
	if g.Restrictions.Any() {
		text += fmt.Sprintf(" restricted %+v", g.Restrictions)
	}
	if !g.Until.IsZero() {
		text += " until " + g.Until.UTC().Format(time.RFC3339)
	}
	if g.From != nil {
		text += fmt.Sprintf(" from %v", g.From)
	}
	if g.Sessions > 0 {
		text += fmt.Sprintf(" sessions %d", g.Sessions)
	}
	return text
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
				"gateway.yaml:1: password: not an argon2id or bcrypt hash; make one with: berth-gateway hash-password\n" +
				"gateway.yaml:2: unknown key in the file; did you mean listen?"},
	} {
		harness.Write(t, "gateway.yaml", tt.mode, string(tt.data))
		_, err := Load("gateway.yaml")
		if got := fmt.Sprint(err); got != tt.want && (err != nil || tt.want != "") {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	for path, want := range map[string]string{"nowhere.yaml": "nowhere.yaml: no such file or directory; berth-gateway init writes the first one", ".": ".: not a regular file"} {
		if _, err := Load(path); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func publicKeyOf(t *testing.T) string {
	t.Helper()
	harness.WriteKey(t, "some-key", 0o600)
	key, err := readKey("some-key")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
}

// The example is valid as it stands, and has every key if a private key is added.
func TestExample(t *testing.T) {
	t.Chdir(t.TempDir())
	harness.WriteKey(t, "old-box_key", 0o600)
	whole := bytes.Replace(configs.Gateway, []byte("# key_file:"), []byte("key_file:"), 1)
	for _, data := range [][]byte{configs.Gateway, whole} {
		d := &document{path: "gateway.yaml"}
		if d.config(data); d.err() != nil {
			t.Errorf("configs/gateway.yaml:\n%v", d.err())
		}
	}
	for _, key := range []string{
		"listen", "state", "docker", "refresh_keys", "exempt", "log_unknown_users", "audit", "on_failure", "user_cas", "revoked", "login", "users", "password", "keys", "authorized_keys", "principals", "hosts",
		"limits", "connections", "forwards", "groups", "accounts", "local_forwards", "agent", "until", "restrict", "sftp", "from", "sessions", "exec",
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
	for _, end := range []string{"\r", "\u0085", "\u2028", "\u2029"} { // of a line to YAML's reader, and to nobody else
		f.Add([]byte("{0" + end + end + "0"))
	}
	f.Add([]byte("a: &a [*a]\nusers: &b {dev: *b}\nhosts: *b\n? [x]\n: y\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &document{path: "gateway.yaml"}
		config := d.config(data)
		if d.err() == nil && config.Policy == nil {
			t.Errorf("taken without a policy: %+v", config)
		}
		for _, e := range d.errs {
			if strings.ContainsAny(e.text, "\n\r") || e.line < 1 || e.line > bytes.Count(data, []byte("\n"))+2 {
				t.Errorf("not one line about a line: %q", e)
			}
		}
	})
}

// The attack: guess passwords from a copy of the file, or overload the processors
// with passwords whose hashes are the most expensive ones in it.
func TestDoubtfulHashesAreNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	harness.Write(t, "gateway.yaml", 0o600, `users:
  cheap:
    password: $argon2id$v=19$m=8,t=1,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8
    hosts: { a: }
  old:
    password: $2a$12$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    hosts: { a: }
`)
	c, err := Load("gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := "gateway.yaml:3: warning: password: the hash is cheap to guess (argon2id m=8,t=1); make one with: berth-gateway hash-password\n" +
		"gateway.yaml:1: warning: the passwords have hashes of 2 kinds, and every attempt costs one of each; make them all with: berth-gateway hash-password"
	if got := c.Warnings.Error(); got != want {
		t.Errorf("warns\n%s\nwant\n%s", got, want)
	}
}

// The journal replaces a file, or is used beside one.
func TestAnAuditWithoutAFile(t *testing.T) {
	for text, want := range map[string]audit.Settings{
		"{journal: yes}":                {Journal: audit.JournalSocket},
		"{journal: yes, file: /a}":      {Journal: audit.JournalSocket, File: "/a"},
		"{journal: no, file: /a}":       {File: "/a"},
		"{file: /a, on_failure: go_on}": {File: "/a", GoOn: true},
	} {
		path := filepath.Join(t.TempDir(), "gateway.yaml")
		harness.Write(t, path, 0o600, "audit: "+text+"\nusers: {}\n")
		settings, err := Load(path)
		if err != nil || settings.Audit != want {
			t.Errorf("%s: %+v, %v", text, settings.Audit, err)
		}
	}
	for _, text := range []string{"{journal: no}", "{}", "{journal: yes, file: a}", "{journal: perhaps}"} {
		path := filepath.Join(t.TempDir(), "gateway.yaml")
		harness.Write(t, path, 0o600, "audit: "+text+"\nusers: {}\n")
		if settings, err := Load(path); err == nil {
			t.Errorf("%s: %+v", text, settings.Audit)
		}
	}
}

// config reads a single file, without others beside it. The result is valid only if
// d.err is nil.
func (d *document) config(data []byte) Config {
	var all people
	c, err := d.settings(data, &all).complete(all, []*document{d})
	if errs, ok := errors.AsType[Errors](err); ok {
		d.errs = errs
	}
	return c
}
