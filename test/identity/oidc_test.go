package identity

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/idp"
)

// approving is a lab whose people approve their logins at a provider: olga and bert,
// who are students there.
type approving struct {
	*lab
	provider *idp.Provider
}

func startApproving(t *testing.T, login string) approving {
	t.Helper()
	provider := idp.Start(t, idp.Settings{}, map[string][]string{"olga": {"students"}, "bert": {"students"}, "carl": nil})
	return approving{startLab(t, login, oidcSettings(t, provider), "groups: {students: {oidc: students, hosts: {box: }}}"), provider}
}

// oidcSettings are those of gateway.yaml for a provider.
func oidcSettings(t *testing.T, provider *idp.Provider) string {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "oidc-secret")
	harness.Write(t, secret, 0o600, idp.Secret+"\n")
	return fmt.Sprintf(`oidc:
  issuer: %s
  ca: %s
  client: %s
  secret_file: %s
  scopes: [profile, groups]
  groups: groups
  remember: 1h`, provider.Issuer, provider.CA, idp.Client, secret)
}

// logsIn starts a login on a terminal.
func (a approving) logsIn(t *testing.T, login, key string, options ...string) *harness.Screen {
	t.Helper()
	door := harness.NewTarget(t, t.TempDir(), "by", a.Gateway.Door(login, key)).With(t, t.TempDir(), "approval", append(options, "BatchMode no", "NumberOfPasswordPrompts 1")...)
	return harness.StartOnTerminal(t, door.Command(t.TempDir(), "exec ssh h echo in"))
}

// code waits for where to approve which code, and returns the code.
func (a approving) code(t *testing.T, screen *harness.Screen) string {
	t.Helper()
	screen.Await(t, "Then press Enter: ")
	found := regexp.MustCompile(`open (\S+) and approve the code (\S+) there`).FindStringSubmatch(screen.Text())
	if found == nil || found[1] != a.provider.Issuer+"/device?user_code="+found[2] {
		t.Fatalf("shown: %q", screen.Text())
	}
	return found[2]
}

// A person logs in with a browser alone: whoever approves must be who the login
// names, and a user of the file or in a group that it knows.
func TestAPersonApprovesALogin(t *testing.T) {
	a := startApproving(t, "")
	harness.Write(t, a.team, 0o600, "users:\n  berta: {oidc: bert, hosts: {box: }}\n")
	a.reload(t)
	for _, tt := range []struct {
		login, approver string
		enters          bool
	}{
		{"olga+box", "olga", true},
		{"berta+box", "bert", true},
		{"bert+box", "bert", false}, // is berta here
		{"olga+box", "bert", false},
		{"carl+box", "carl", false}, // in no group
		{"dev+box", "olga", false},  // does not come by a browser
	} {
		screen := a.logsIn(t, tt.login, a.key, "PreferredAuthentications keyboard-interactive")
		a.provider.Approve(t, a.code(t, screen), tt.approver)
		screen.TypeIn(t, "\r")
		if tt.enters {
			screen.Await(t, "in\r\n")
			screen.WantExit(t, 0)
		} else {
			screen.WantExit(t, 255)
		}
	}
	refused := a.logsIn(t, "olga+box", a.key, "PreferredAuthentications keyboard-interactive")
	a.provider.Deny(t, a.code(t, refused))
	refused.TypeIn(t, "\r")
	refused.WantExit(t, 255)
}

// With key+oidc, an approval is remembered for the key that was shown, and for none
// other; without the key there is none.
func TestAnApprovalIsRememberedForTheKey(t *testing.T) {
	a := startApproving(t, "login: [{groups: [students], with: [key+oidc]}]")
	other := harness.MakeKey(t, a.dir, "other")
	a.guest(t, "oidc: olga\n    groups: [students]\n    keys: ['"+harness.PublicKey(t, a.key)+"', '"+harness.PublicKey(t, other)+"']")
	first := a.logsIn(t, "guest+box", a.key)
	a.provider.Approve(t, a.code(t, first), "olga")
	first.TypeIn(t, "\r")
	first.Await(t, "in\r\n")
	first.WantExit(t, 0)
	asked := a.provider.Asked()
	a.doors(t, a.key)[1].Want(t, "ssh h echo in", "in\n") // BatchMode: nothing is asked
	if a.provider.Asked() != asked {
		t.Error("the provider was asked again")
	}
	second := a.logsIn(t, "guest+box", other)
	a.code(t, second)
	without := a.logsIn(t, "guest+box", other, "PubkeyAuthentication no")
	a.provider.Approve(t, a.code(t, without), "olga")
	without.TypeIn(t, "\r")
	without.WantExit(t, 255)
	a.guest(t, "oidc: bert\n    groups: [students]\n    keys: ['"+harness.PublicKey(t, a.key)+"']")
	if got := a.doors(t, a.key)[1].Run(t, "ssh h echo in"); got.Exit != 255 {
		t.Errorf("somebody else's approval opens: %+v", got)
	}
	if log := a.Gateway.Log(t); strings.Contains(log, idp.Secret) {
		t.Error("the log has the client's secret")
	}
}

// A client that leaves is not waited for, and a login is asked for by one question
// for everybody, whether a password or a browser is the way in.
func TestWhoLeavesIsNotWaitedFor(t *testing.T) {
	a := startApproving(t, "")
	a.guest(t, "password: "+harness.HashOf(t, "guest's-word"))
	screen := a.logsIn(t, "olga+box", a.key, "PreferredAuthentications keyboard-interactive")
	screen.Await(t, "Password, or Enter alone to log in with a browser: ")
	screen.TypeIn(t, "\r")
	a.code(t, screen)
	screen.TypeIn(t, "\r")
	harness.Eventually(t, "the provider to be asked for the answer", func() bool { return a.provider.Polled() > 0 })
	screen.TypeIn(t, "\x03")
	a.Gateway.AwaitRecord(t, "not logged in")
	harness.Eventually(t, "the connection to be gone", func() bool { return a.Gateway.Connections(t) == 0 })
	typed := a.logsIn(t, "guest+box", a.key, "PreferredAuthentications keyboard-interactive", "PubkeyAuthentication no")
	typed.Await(t, "Password, or Enter alone to log in with a browser: ")
	typed.TypeIn(t, "guest's-word\r")
	typed.Await(t, "in\r\n")
	typed.WantExit(t, 0)
}

// People have longer for their browser than for a password.
func TestABrowserTakesItsTime(t *testing.T) {
	if !harness.Soaking() {
		t.Skip("takes more than a minute; set " + harness.EnvSoak)
	}
	a := startApproving(t, "")
	screen := a.logsIn(t, "olga+box", a.key, "PreferredAuthentications keyboard-interactive")
	code := a.code(t, screen)
	time.Sleep(70 * time.Second) // a login without a browser is over by then
	a.provider.Approve(t, code, "olga")
	screen.TypeIn(t, "\r")
	screen.Await(t, "in\r\n")
	screen.WantExit(t, 0)
}

// check says whether the provider answers.
func TestCheckAsksTheProvider(t *testing.T) {
	a := startApproving(t, "")
	check := func() string {
		out, err := exec.Command(harness.Program("gateway"), "check", "--config", filepath.Join(a.dir, "gateway.yaml")).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return string(out)
	}
	if out := check(); strings.Contains(out, "oidc does not answer") || !strings.Contains(out, "oidc:students") {
		t.Error(out)
	}
	a.provider.Close()
	if out := check(); !strings.Contains(out, "warning: oidc does not answer as it should") {
		t.Error(out)
	}
}
