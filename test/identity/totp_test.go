package identity

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// A second step as OpenSSH's client asks for it: after the key, and once.
func TestCodesOfAnAuthenticator(t *testing.T) {
	l := startLab(t, "login: [{groups: [stepped], with: [key+totp, password+totp]}]", "groups: {stepped: }")
	l.guest(t, "groups: [stepped]\n    keys: ['"+harness.PublicKey(t, l.key)+"']")
	secret, recovery := l.Gateway.Enroll(t, "guest")
	answer := filepath.Join(l.dir, "answer")
	env := askpass(t, answer)
	door := l.doors(t, l.key, "BatchMode no", "NumberOfPasswordPrompts 1")[1]
	shows := func(what, code string, enters bool) {
		t.Helper()
		harness.Write(t, answer, 0o600, code+"\n")
		if got := door.Run(t, "ssh h echo in", env...); (got.Stdout == "in\n") != enters {
			t.Errorf("%s: %+v", what, got)
		}
	}
	shows("no code", "", false)
	shows("a wrong code", "000000", false)
	now := harness.CodeOf(t, secret, time.Now())
	shows("the code of now", now, true)
	shows("the same code again", now, false)
	shows("a recovery code", recovery[3], true)
	shows("the same recovery code", recovery[3], false)
	if log := l.Gateway.Log(t); strings.Contains(log, now) || strings.Contains(log, recovery[3]) || strings.Contains(log, secret) {
		t.Error("the log has a code or the secret")
	}
}
