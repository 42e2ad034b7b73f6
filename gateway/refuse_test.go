package gateway

import (
	"errors"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/hosts"

	"golang.org/x/crypto/ssh"
)

// A login to a host that is not granted causes no call to the host or the engine,
// with any kind of channel.
func TestWhatIsNotGrantedIsNotAskedFor(t *testing.T) {
	from := atMachine(newFakeMachine(echoes))
	g := startGateway(t, from)
	for login, why := range map[string]string{
		"dev+vault":    `host "vault" is not granted to dev; granted: lab, more`,
		"dev":          "2 hosts are granted to dev; log in as one of\n  dev+lab\n  dev+more",
		"dev+root@lab": `account "root" is not granted to dev on lab; granted: developer`,
	} {
		client := g.enter(t, login)
		if got, want := runs(t, client, "x"), (said{"", "berth: " + why + "\n", 255}); got != want {
			t.Errorf("%s: got %+v, want %+v", login, got, want)
		}
		for _, kind := range []string{"direct-tcpip", "direct-streamlocal@openssh.com", "x@example.com"} {
			_, _, err := client.OpenChannel(kind, nil)
			refused, ok := errors.AsType[*ssh.OpenChannelError](err)
			if !ok || refused.Reason != ssh.Prohibited || refused.Message != why {
				t.Errorf("%s: %s: %v", login, kind, err)
			}
		}
		if ok, _, err := client.SendRequest("tcpip-forward", true, ssh.Marshal(struct {
			Address string
			Port    uint32
		}{"", 0})); ok || err != nil {
			t.Errorf("%s: a listener: %v, %v", login, ok, err)
		}
		client.Close()
	}
	if from.calls() != 0 {
		t.Errorf("%d calls, opened %q", from.calls(), from.opened)
	}
}

// The attack: somebody who may start containers sets a label with terminal control
// sequences as the name or account, to attack the terminal of a person who is shown
// it.
func TestALabelDoesNothingToATerminal(t *testing.T) {
	from := atMachine(newFakeMachine(echoes))
	from.lookup = func(name string) (hosts.Host, error) {
		return hosts.Host{}, &hosts.Unreachable{Host: name, Why: "has no account \x1b]52;c;cm0K\a\u202e\r\n  b"}
	}
	g := startGateway(t, from)
	client := g.enter(t, "dev+lab")
	if got := runs(t, client, "x").err; got != "berth: host \"lab\" has no account ?]52;c;cm0K???\n  b\n" {
		t.Errorf("%q", got)
	}
	if _, _, err := client.OpenChannel("direct-tcpip", nil); err == nil || strings.ContainsAny(err.Error(), "\x1b\a") {
		t.Errorf("%q", err)
	}
}

func TestARefusalOnATerminalIsReadable(t *testing.T) {
	g := startGateway(t, atMachine(nil))
	s, err := g.enter(t, "dev").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := s.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.RequestPty("xterm", 24, 80, nil), s.Shell()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<10)
	n, _ := stderr.Read(buf)
	if got := string(buf[:n]); strings.Count(got, "\r\n") != 3 || strings.Count(got, "\n") != 3 {
		t.Errorf("%q: the lines would be stairs", got)
	}
}
