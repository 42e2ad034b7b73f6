package identity

import (
	"encoding/pem"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/idp"
)

// A full run, with every kind of secret in it, leaves none of them where others can
// read it: not in what the engine tells of the container, in the environment or the
// command line of any process, in the log, or in the audit file.
func TestNoSecretIsShown(t *testing.T) {
	const password = "correct-horse-battery-staple-7c1"
	c := harness.StartContainer(t)
	slapd := harness.StartSlapd(t, harness.LDAPPerson("anna", "anna's-word-51f")+harness.LDAPGroup("cn-students", "anna"))
	provider := idp.Start(t, idp.Settings{}, map[string][]string{"olga": {"students"}})
	hash, file := harness.HashOf(t, password), filepath.Join(c.Dir, "audit.jsonl")
	config := strings.Replace(c.Config(t), "    hosts:", "    password: "+hash+"\n    groups: [stepped]\n    hosts:", 1)
	g := harness.StartGateway(t, c.Dir, config+fmt.Sprintf("audit: {file: %s}\ngroups: {stepped: , students: {ldap: cn-students, oidc: students, hosts: {%s: , lab: }}}\nlogin: [{groups: [stepped], with: [key, password, password+totp]}]\n%s\n%s\n",
		file, c.Host, ldapSettings(t, slapd), oidcSettings(t, provider)))
	enrolled := &lab{Machine: harness.Machine{Gateway: g}, dir: c.Dir, key: c.Key}
	totp, recovery := g.Enroll(t, "dev")

	if !(directed{enrolled, slapd}).tries(t, "anna+"+c.Host, "anna's-word-51f") {
		t.Error("the directory's person is not let in")
	}
	olga := approving{enrolled, provider}.logsIn(t, "olga+"+c.Host, c.Key, "PreferredAuthentications keyboard-interactive")
	olga.Await(t, "with a browser: ")
	olga.TypeIn(t, "\r")
	provider.Approve(t, approving{enrolled, provider}.code(t, olga), "olga")
	olga.TypeIn(t, "\r")
	olga.Await(t, "in\r\n")

	answer := filepath.Join(c.Dir, "answer")
	harness.Write(t, answer, 0o600, password+"\n")
	for _, login := range []string{"dev+" + c.Host, "dev+lab"} {
		by := harness.NewTarget(t, t.TempDir(), "by", g.Door(login, c.Key))
		running := by.StartCat(t)
		running.WantLine(t, "goes on")
		typed := by.With(t, t.TempDir(), "password", "BatchMode no", "PubkeyAuthentication no", "NumberOfPasswordPrompts 1")
		typed.Want(t, "ssh h echo in", "in\n", askpass(t, answer)...)
		typed.Run(t, "scp -q /etc/hostname h:/tmp/x", askpass(t, answer)...)
		mistaken := harness.NewTarget(t, t.TempDir(), "mistaken", g.Door(password, c.Key)) // typed where the name belongs
		if got := mistaken.Run(t, "ssh h true"); got.Exit != 255 {
			t.Errorf("%+v", got)
		}

		secrets := map[string]string{"the password": password, "its hash": hash, "the authenticator's secret": totp, "a recovery code": recovery[0],
			"a password of the directory": "anna's-word-51f", "the directory's password": harness.SlapdPassword, "the provider's secret": idp.Secret}
		for _, name := range []string{"ssh_host_ed25519_key", "user_ca"} {
			block, _ := pem.Decode([]byte(harness.Read(t, filepath.Join(harness.StateOf(c.Dir), name))))
			if block == nil {
				t.Fatal(name + " is no key")
			}
			lines := strings.Split(harness.Read(t, filepath.Join(harness.StateOf(c.Dir), name)), "\n")
			secrets[name] = lines[len(lines)/2] // of its middle, where the private half is
		}
		shown := map[string]string{
			"docker inspect":   harness.Must(t, exec.Command("docker", "inspect", c.Name)),
			"environments":     harness.Must(t, exec.Command("sh", "-c", "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -v '^BERTH_TEST'; true")),
			"command lines":    harness.Must(t, exec.Command("sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; true")),
			"in the container": c.Run(t, "sh", "-c", "env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; true"),
			"its files":        c.Run(t, "sh", "-c", "cat /run/berth/* /etc/ssh/*.pub /etc/ssh/sshd_config /var/log/* 2>/dev/null; true"),
			"the log":          g.Log(t),
			"the audit file":   harness.Read(t, file),
		}
		for where, text := range shown {
			if text == "" {
				t.Errorf("%s: nothing was looked at", where)
			}
			for what, secret := range secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%s has %s", where, what)
				}
			}
		}
		running.Kill()
	}
}
