package identity

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// directed is a lab whose people are in a directory: anna and bert are students.
type directed struct {
	*lab
	slapd *harness.Slapd
}

func startDirected(t *testing.T, settings ...string) directed {
	t.Helper()
	slapd := harness.StartSlapd(t, harness.LDAPPerson("anna", "anna's-word")+harness.LDAPPerson("bert", "bert's-word")+
		harness.LDAPPerson("carl", "carl's-word")+harness.LDAPPerson("dev", "dev's-word")+harness.LDAPGroup("cn-students", "anna", "bert", "dev"))
	group := "groups: {students: {ldap: cn-students, hosts: {box: }}}"
	return directed{startLab(t, append(settings, ldapSettings(t, slapd), group)...), slapd}
}

// ldapSettings are those of gateway.yaml for a directory.
func ldapSettings(t *testing.T, slapd *harness.Slapd) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ldap-password")
	harness.Write(t, file, 0o600, harness.SlapdPassword+"\n")
	return fmt.Sprintf(`ldap:
  url: ldaps://127.0.0.1:%s
  ca: %s
  people: {base: 'ou=people,dc=lab', filter: '(&(objectClass=person)(uid=%%u))'}
  bind: %s
  password_file: %s
  groups: {base: 'ou=groups,dc=lab'}
  recheck: 1s`, harness.Port(slapd.Secure), slapd.CA, harness.SlapdAdmin, file)
}

// by is a login's way in by a password alone.
func (d directed) by(t *testing.T, login string, options ...string) harness.Target {
	t.Helper()
	options = append(options, "BatchMode no", "PubkeyAuthentication no", "NumberOfPasswordPrompts 1")
	return harness.NewTarget(t, t.TempDir(), "by", d.Gateway.Door(login, d.key)).With(t, t.TempDir(), "password", options...)
}

// tries runs a command by a password, and reports whether it ran.
func (d directed) tries(t *testing.T, login, password string, options ...string) (entered bool) {
	t.Helper()
	answer := filepath.Join(t.TempDir(), "answer")
	harness.Write(t, answer, 0o600, password+"\n")
	got := d.by(t, login, options...).Run(t, "ssh h echo in", askpass(t, answer)...)
	if entered = got.Stdout == "in\n"; !entered && got.Exit != 255 {
		t.Errorf("%s: %+v", login, got)
	}
	return entered
}

// People of the directory log in by ssh and their password there, by either method
// that asks for it, if they are in a group that the configuration knows, or are one
// of its users.
func TestPeopleOfADirectoryLogIn(t *testing.T) {
	d := startDirected(t)
	harness.Write(t, d.team, 0o600, "users:\n  carla: {ldap: carl, hosts: {box: }}\n")
	d.reload(t)
	for _, tt := range []struct {
		login, password string
		enters          bool
	}{
		{"anna+box", "anna's-word", true},
		{"anna", "anna's-word", true}, // the only host that is granted
		{"anna+relay", "anna's-word", false},
		{"anna+box", "bert's-word", false},
		{"anna+box", "", false},
		{"ANNA+box", "anna's-word", false},
		{"carla+box", "carl's-word", true},
		{"carl+box", "carl's-word", false}, // is carla here
		{"dev+box", "dev's-word", false},   // a namesake of the file's dev, who has no password
		{"nobody+box", "anna's-word", false},
		{"*+box", "anna's-word", false},
	} {
		for _, method := range []string{"password", "keyboard-interactive"} {
			if got := d.tries(t, tt.login, tt.password, "PreferredAuthentications "+method); got != tt.enters {
				t.Errorf("%s, %s by %s: %v", tt.login, tt.password, method, got)
			}
		}
	}
	log := d.Gateway.Log(t)
	for _, secret := range []string{"'s-word", harness.SlapdPassword} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}

// Who is put out of a group, or out of the directory, loses what came by it: within
// the time of recheck where it is there, and at the next login in any case. Nobody
// else notices.
func TestWhoLeavesAGroupLosesItsGrants(t *testing.T) {
	d := startDirected(t)
	start := func(name string) *harness.Client {
		answer := filepath.Join(t.TempDir(), "answer")
		harness.Write(t, answer, 0o600, name+"'s-word\n")
		session := d.by(t, name+"+box").Start(t, "exec ssh h cat", askpass(t, answer)...)
		session.WantLine(t, "hello")
		return session
	}
	anna, bert := start("anna"), start("bert")
	d.slapd.Change(t, "dn: cn=cn-students,ou=groups,dc=lab\nchangetype: modify\ndelete: member\nmember: uid=anna,ou=people,dc=lab\n")
	if status := anna.Wait(t); status != 255 {
		t.Errorf("who left the group: exit %d", status)
	}
	if d.tries(t, "anna+box", "anna's-word") {
		t.Error("logs in without the group")
	}
	bert.WantLine(t, "goes on")
	d.slapd.Change(t, "dn: uid=bert,ou=people,dc=lab\nchangetype: delete\n")
	if status := bert.Wait(t); status != 255 {
		t.Errorf("who left the directory: exit %d", status)
	}
}

// A directory that is silent keeps nobody out who does not come by it, and ends
// nothing; whoever waits for it is told so, and is let in when it answers again.
func TestASilentDirectory(t *testing.T) {
	d := startDirected(t)
	d.guest(t, "keys: ['"+harness.PublicKey(t, d.key)+"']\n    password: "+harness.HashOf(t, "guest's-word"))
	answer := filepath.Join(t.TempDir(), "answer")
	harness.Write(t, answer, 0o600, "anna's-word\n")
	anna := d.by(t, "anna+box").Start(t, "exec ssh h cat", askpass(t, answer)...)
	anna.WantLine(t, "hello")
	d.slapd.Stop(t)
	d.doors(t, d.key)[1].Want(t, "ssh h echo in", "in\n")
	if !d.tries(t, "guest+box", "guest's-word") {
		t.Error("a password of the file waits for the directory")
	}
	got := d.by(t, "anna+box", "LogLevel INFO").Run(t, "ssh h echo in", askpass(t, answer)...)
	if got.Exit != 255 || !strings.Contains(got.Stderr, "does not answer; try again later") {
		t.Errorf("%+v", got)
	}
	d.Gateway.AwaitRecord(t, "no answer; who is there by it goes on")
	anna.WantLine(t, "goes on")
	d.slapd.Continue()
	d.Gateway.AwaitRecord(t, "answers again")
	if !d.tries(t, "anna+box", "anna's-word") {
		t.Error("it answers again, and nobody is let in")
	}
}

// A rule for a group holds for people whom the directory knows in it.
func TestASecondStepForPeopleOfADirectory(t *testing.T) {
	d := startDirected(t, "login: [{groups: [students], with: [password+totp]}]")
	if d.tries(t, "anna+box", "anna's-word") {
		t.Error("the password was enough")
	}
	_, recovery := d.Gateway.Enroll(t, "anna")
	answers := filepath.Join(t.TempDir(), "askpass")
	harness.Write(t, answers, 0o700, "#!/bin/sh\ncase $1 in *authenticator*) echo "+recovery[0]+" ;; *) echo \"anna's-word\" ;; esac\n")
	env := []string{"SSH_ASKPASS=" + answers, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=:0"}
	d.by(t, "anna+box", "PreferredAuthentications password,keyboard-interactive").Want(t, "ssh h echo in", "in\n", env...)
}

// check says whether the directory answers, and what its groups come to.
func TestCheckAsksTheDirectory(t *testing.T) {
	d := startDirected(t)
	check := func(args ...string) (string, error) {
		out, err := exec.Command(harness.Program("gateway"), append([]string{"check", "--config", filepath.Join(d.dir, "gateway.yaml")}, args...)...).CombinedOutput()
		return string(out), err
	}
	out, err := check("--who", "anna", "--host", "box")
	if err != nil || !strings.Contains(out, ", group students, box") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := check("--who", "carl", "--host", "box"); err == nil || !strings.Contains(out, "carl may not enter host box") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := check(); err != nil || strings.Contains(out, "ldap does not answer") || !strings.Contains(out, "ldap:cn-students") {
		t.Errorf("%v: %s", err, out)
	}
	d.slapd.Command.Process.Kill()
	harness.Eventually(t, "slapd to be gone", func() bool { return !harness.Answers(d.slapd.Secure) })
	if out, err := check(); err != nil || !strings.Contains(out, "warning: ldap does not answer as it should") {
		t.Errorf("%v: %s", err, out)
	}
}
