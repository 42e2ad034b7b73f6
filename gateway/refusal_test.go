package gateway

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/hosts"

	"golang.org/x/crypto/ssh"
)

// The owner of a host's sshd wrote its banner for people who log in.
func TestAPersonIsToldWhatTheSshdSaysThatRefuses(t *testing.T) {
	sshd := &fakeSshd{
		accept: func(ssh.ConnMetadata, ssh.PublicKey) error { return errors.New("no") },
		change: func(config *ssh.ServerConfig) {
			config.BannerCallback = func(ssh.ConnMetadata) string { return "closed on Sundays\r\n\x1b[2Jask \tops\n" }
		},
	}
	g := startGateway(t, sshdOf(t, sshd, nil))
	want := "berth: host \"lab\" does not let the gateway in as developer (does its sshd trust the gateway's user CA?)\n  closed on Sundays\n  ?[2Jask ops\n"
	if got := runs(t, g.enter(t, "dev+lab"), "x"); got.err != want {
		t.Errorf("got %q", got.err)
	}
}

func TestASshdThatSpeaksOtherAlgorithmsIsNotOneThatRefuses(t *testing.T) {
	sshd := &fakeSshd{change: func(config *ssh.ServerConfig) {
		config.KeyExchanges = []string{ssh.InsecureKeyExchangeDH14SHA1}
	}}
	g := startGateway(t, sshdOf(t, sshd, nil))
	got := runs(t, g.enter(t, "dev+lab"), "x")
	if !strings.Contains(got.err, "speaks no key exchange algorithm that the gateway knows; it offers diffie-hellman-group14-sha1") {
		t.Errorf("got %q", got.err)
	}
}

func TestASshdThatHangsUpIsNotOneThatRefuses(t *testing.T) {
	from := &fakeHosts{open: func(host hosts.Host, _ string) (hosts.Entrance, error) {
		gateway, inside := tcpPair(t)
		inside.Close()
		return hosts.Entrance{Sshd: &hosts.Sshd{Conn: gateway, Host: host.Name}}, nil
	}}
	g := startGateway(t, from)
	if got := runs(t, g.enter(t, "dev+lab"), "x"); !strings.Contains(got.err, "hangs up on the gateway") {
		t.Errorf("got %q", got.err)
	}
}

func TestWhatASshdSaysAtTheEndIsTold(t *testing.T) {
	err := errors.Join(io.EOF, errors.New("ssh: handshake failed: ssh: disconnect, reason 12: too many\x1b[2J for you"))
	if got := whyNot(err, "dev"); got != "does not let the gateway in as dev: its sshd says: too many?[2J for you" {
		t.Errorf("got %q", got)
	}
}

// A banner is shown only at a terminal: a program could take it for a command's
// output.
func TestABannerIsShownAtATerminalOnly(t *testing.T) {
	sshd := &fakeSshd{
		serve:  runsCommands,
		accept: func(ssh.ConnMetadata, ssh.PublicKey) error { return nil },
		change: func(config *ssh.ServerConfig) {
			config.BannerCallback = func(ssh.ConnMetadata) string { return "be kind\n" }
		},
	}
	g := startGateway(t, sshdOf(t, sshd, nil))
	client := g.enter(t, "dev+lab")
	if got := runs(t, client, "x"); got.err != "" {
		t.Errorf("a command's stderr is %q", got.err)
	}
	for _, want := range []string{"be kind\r\n", ""} { // once
		if got := runsAtTerminal(t, client, "x"); got.err != want {
			t.Errorf("at a terminal: %q, want %q", got.err, want)
		}
	}
}
