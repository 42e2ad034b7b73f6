package gateway

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
)

// saysItsName answers a command with the name of its host.
func saysItsName(channel ssh.Channel, requests <-chan *ssh.Request, name string) {
	for request := range requests {
		request.Reply(true, nil)
		if request.Type == machine.Exec {
			channel.Write([]byte(name))
			exitWith(channel, 0)
		}
	}
}

// The attack, or accident: a host's address passes to another host between the lookup
// and the dial. That host's sshd trusts the gateway as well, but it has another key,
// so nobody may enter there.
func TestAnAddressThatBecomesAnotherHostsLeadsNowhere(t *testing.T) {
	sshds := map[string]*fakeSshd{}
	for _, name := range []string{"lab", "more"} {
		sshds[name] = &fakeSshd{t: t, hostKey: newSigner(t), accept: func(ssh.ConnMetadata, ssh.PublicKey) error { return nil }}
		sshds[name].serve = func(_ *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
			go ssh.DiscardRequests(requests)
			for asked := range channels {
				if channel, requests, err := asked.Accept(); err == nil {
					go saysItsName(channel, requests, name)
				}
			}
		}
	}
	var isSwapped atomic.Bool // no lock needed: each login ends before the next one begins
	other := map[string]string{"lab": "more", "more": "lab"}
	g := startGateway(t, &fakeHosts{
		lookup: func(name string) (hosts.Host, error) {
			return hosts.Host{Name: name, Route: labels.RouteSshd, Account: "own"}, nil
		},
		open: func(host hosts.Host, _ string) (hosts.Entrance, error) {
			at := host.Name
			if isSwapped.Load() {
				at = other[at]
			}
			return hosts.Entrance{Sshd: &hosts.Sshd{Host: host.Name, Conn: sshds[at].dial(), HostKeys: []ssh.PublicKey{sshds[host.Name].hostKey.PublicKey()}}}, nil
		},
	})
	entered, refused := 0, 0
	for range harness.Load(200, 10_000) {
		name := []string{"lab", "more"}[rand.IntN(2)]
		swapped := rand.IntN(2) == 0
		isSwapped.Store(swapped)
		client, err := g.dial("dev+"+name, nil, ssh.PublicKeys(g.dev))
		if err != nil {
			t.Fatal(err)
		}
		got := runs(t, client, "x")
		client.Close()
		switch {
		case got.out == name && !swapped:
			entered++
		case got.out == "" && swapped && strings.Contains(got.err, "another host key"):
			refused++
		default:
			t.Fatalf("%s, swapped %v: %+v", name, swapped, got)
		}
	}
	t.Logf("%d logins entered, %d were refused", entered, refused)
	if entered == 0 || refused == 0 {
		t.Error("nobody was let in, or everybody")
	}
}
