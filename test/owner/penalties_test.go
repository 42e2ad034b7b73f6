package owner

import (
	"regexp"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/test/harness"
)

// The attack: somebody guesses passwords. The owner sees from where, and that they
// are slowed down.
func TestCheckShowsWhoGuessesPasswords(t *testing.T) {
	m := harness.StartMachine(t)
	if out := must(t, m.Gateway, "check"); regexp.MustCompile("SLOWED DOWN").MatchString(out) {
		t.Errorf("before: %s", out)
	}
	wrong := ssh.PasswordCallback(func() (string, error) { return "wrong", nil })
	for range 2 {
		client, err := ssh.Dial("tcp", m.Gateway.Address, &ssh.ClientConfig{
			User: "dev+h", HostKeyCallback: ssh.InsecureIgnoreHostKey(),
			Auth: []ssh.AuthMethod{ssh.RetryableAuthMethod(wrong, 7)},
		})
		if err == nil {
			client.Close()
			t.Fatal("a wrong password opens")
		}
	}
	out := must(t, m.Gateway, "check")
	if !regexp.MustCompile(`\nSLOWED DOWN +FAILURES +A PASSWORD EVERY\n127\.0\.0\.1/32 +1[0-9] +0\.[0-9]+ s\n`).MatchString(out) {
		t.Errorf("check says:\n%s", out)
	}
}
