package attack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/test/harness"
)

// pair are two containers that have one another's name again and again, at the engine
// and so at the gateway. Alice may enter what is labelled hers, bob what is his.
type pair struct {
	gateway *harness.Gateway
	engine  *http.Client
	keys    map[string]string // by person
	names   [2]string
	ids     map[string]string // by person, of the container that is theirs
}

// The attack, or accident: names and ids are swapped while people log in by them, so
// that what is granted is one container and what is entered another. Whoever gets in
// is on a host of its own.
func TestSwappedNamesLeadToNoWrongHost(t *testing.T) {
	harness.Need(t, "docker", "ssh", "ssh-keygen")
	p := startPair(t)
	swaps := harness.Load(60, 10_000)
	ctx, stop := context.WithCancel(t.Context())
	var logins sync.WaitGroup
	var entered, refused atomic.Int64
	for _, person := range []string{"alice", "bob"} {
		for _, host := range []string{"one", "two"} {
			logins.Go(func() {
				for ctx.Err() == nil {
					p.logIn(t, person, host, &entered, &refused)
				}
			})
		}
	}
	for i := range swaps {
		p.swap(t)
		if i%50 == 49 {
			p.recreate(t, []string{"alice", "bob"}[i/50%2])
		}
	}
	stop()
	logins.Wait()
	t.Logf("%d swaps, %d logins entered, %d were refused", swaps, entered.Load(), refused.Load())
	if entered.Load() == 0 || refused.Load() == 0 {
		t.Error("nobody was let in, or everybody")
	}
}

func startPair(t *testing.T) *pair {
	t.Helper()
	dir := harness.OpenDir(t)
	socket := harness.EngineSocket(t)
	p := &pair{keys: map[string]string{}, ids: map[string]string{}, names: [2]string{harness.HostName("swap-x"), harness.HostName("swap-y")}}
	p.engine = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	config := "users:\n"
	for i, person := range []string{"alice", "bob"} {
		p.keys[person] = harness.MakeKey(t, dir, person)
		config += fmt.Sprintf("  %s: { keys: [ %s ], hosts: { 'label:swap=%s': root } }\n", person, harness.PublicKey(t, p.keys[person]), person)
		p.run(t, person, p.names[i])
	}
	t.Cleanup(func() {
		for _, id := range p.ids {
			harness.Must(t, exec.Command("docker", "rm", "-f", id))
		}
	})
	config += fmt.Sprintf("hosts:\n  one: { route: exec, container: %s }\n  two: { route: exec, container: %s }\n", p.names[0], p.names[1])
	p.gateway = harness.StartGateway(t, dir, config)
	return p
}

// run starts a person's container.
func (p *pair) run(t *testing.T, person, name string) {
	t.Helper()
	p.ids[person] = strings.TrimSpace(harness.Must(t, exec.Command("docker", "run", "-d", "--init", "--name", name, "--label", "swap="+person,
		"--hostname", person, "--entrypoint", "sleep", harness.BaseImage(t), "infinity")))
}

// recreate gives a person's container another id, under the name that it has.
func (p *pair) recreate(t *testing.T, person string) {
	t.Helper()
	name := strings.TrimPrefix(strings.TrimSpace(harness.Must(t, exec.Command("docker", "inspect", "-f", "{{.Name}}", p.ids[person]))), "/")
	harness.Must(t, exec.Command("docker", "rm", "-f", p.ids[person]))
	p.run(t, person, name)
}

// swap gives each container the name of the other.
func (p *pair) swap(t *testing.T) {
	t.Helper()
	away := p.names[0] + "-away"
	for _, step := range [][2]string{{p.names[0], away}, {p.names[1], p.names[0]}, {away, p.names[1]}} {
		response, err := p.engine.Post("http://engine/containers/"+step[0]+"/rename?name="+url.QueryEscape(step[1]), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNoContent {
			t.Fatalf("rename %v: %s", step, response.Status)
		}
	}
}

// logIn logs in once, and asks the host whose it is.
func (p *pair) logIn(t *testing.T, person, host string, entered, refused *atomic.Int64) {
	door := p.gateway.Door(person+"+"+host, p.keys[person])
	raw, err := net.Dial("tcp", door.Address)
	if err != nil {
		t.Error(err)
		return
	}
	defer raw.Close()
	client, err := harness.Target{Door: door}.LogIn(t, raw)
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		refused.Add(1)
		return
	}
	said, err := session.Output("hostname")
	exited := (*ssh.ExitError)(nil)
	switch whose := strings.TrimSpace(string(said)); {
	case whose == person:
		entered.Add(1)
	case whose != "":
		t.Errorf("%s is on a host of %s", person, whose)
	case err == nil || !errors.As(err, &exited) && !isMissing(err):
		t.Errorf("%s on %s: %q, %v", person, host, said, err)
	default:
		refused.Add(1)
	}
}

// isMissing reports that the host went away with the session.
func isMissing(err error) bool {
	missing := (*ssh.ExitMissingError)(nil)
	return errors.As(err, &missing)
}
