package identity

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// codeOf is what an authenticator shows at a time (RFC 6238).
func codeOf(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha1.New, key)
	binary.Write(mac, binary.BigEndian, at.Unix()/30)
	sum := mac.Sum(nil)
	number := binary.BigEndian.Uint32(sum[sum[19]&15:]) & 0x7fffffff
	return fmt.Sprintf("%06d", number%1_000_000)
}

// enroll gives a user an authenticator, by the command, with the code of a step that
// is past already: so the step of now is still good for a login.
func (l *lab) enroll(t *testing.T, user string) (secret string, recovery []string) {
	t.Helper()
	command := exec.Command(harness.Program("gateway"), "totp", user, "--config", filepath.Join(l.dir, "gateway.yaml"))
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	for said.Scan() {
		if found, ok := strings.CutPrefix(said.Text(), "secret: "); ok {
			secret = found
			fmt.Fprintln(in, codeOf(t, secret, time.Now().Add(-30*time.Second)))
		}
		if code, ok := strings.CutPrefix(said.Text(), "  "); ok {
			recovery = append(recovery, code)
		}
	}
	if err := command.Wait(); err != nil || len(recovery) != 10 {
		t.Fatalf("%v, %d recovery codes", err, len(recovery))
	}
	return secret, recovery
}

// A second step as OpenSSH's client asks for it: after the key, and once.
func TestCodesOfAnAuthenticator(t *testing.T) {
	l := startLab(t, "login: [{groups: [stepped], with: [key+totp, password+totp]}]", "groups: {stepped: }")
	l.guest(t, "groups: [stepped]\n    keys: ['"+harness.PublicKey(t, l.key)+"']")
	secret, recovery := l.enroll(t, "guest")
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
	now := codeOf(t, secret, time.Now())
	shows("the code of now", now, true)
	shows("the same code again", now, false)
	shows("a recovery code", recovery[3], true)
	shows("the same recovery code", recovery[3], false)
	if log := l.Gateway.Log(t); strings.Contains(log, now) || strings.Contains(log, recovery[3]) || strings.Contains(log, secret) {
		t.Error("the log has a code or the secret")
	}
}
