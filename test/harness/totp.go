package harness

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
)

// CodeOf returns the code that an authenticator shows at a time (RFC 6238).
func CodeOf(t *testing.T, secret string, at time.Time) string {
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

// Enroll gives a user an authenticator with the command. It uses the code of a past
// time step, so the present one is still valid for a login.
func (g *Gateway) Enroll(t *testing.T, user string) (secret string, recovery []string) {
	t.Helper()
	command := exec.Command(Program("gateway"), "totp", user, "--config", filepath.Join(g.Dir, "gateway.yaml"))
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
			fmt.Fprintln(in, CodeOf(t, secret, time.Now().Add(-30*time.Second)))
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
