package attack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// neighbours are two hosts with an sshd, alice's and bob's, that have one another's
// address again and again.
type neighbours struct {
	gateway   *harness.Gateway
	engine    *http.Client
	keys      map[string]string // by person
	hosts     map[string]string // by person
	ids       map[string]string // by person, of the containers
	network   string
	addresses [2]string
}

// The attack, or accident: the address of a host is given to another container while
// people log in by it. Whoever gets in is on a host of its own, whose sshd has shown the
// key that is pinned to the container.
func TestSwappedAddressesLeadToNoWrongHost(t *testing.T) {
	n := startNeighbours(t)
	swaps := harness.Load(4, 1000)
	ctx, stop := context.WithCancel(t.Context())
	var logins sync.WaitGroup
	var entered, refused atomic.Int64
	for _, person := range []string{"alice", "bob", "alice", "bob"} {
		logins.Go(func() {
			for ctx.Err() == nil {
				n.logIn(t, person, &entered, &refused)
			}
		})
	}
	for i := range swaps {
		before := entered.Load()
		n.swap(t, i%2 == 0)
		if i%4 == 3 { // the rest goes on at once
			harness.Eventually(t, "somebody is let in", func() bool { return entered.Load() > before })
		}
	}
	stop()
	logins.Wait()
	t.Logf("%d swaps, %d logins entered, %d were refused", swaps, entered.Load(), refused.Load())
	if entered.Load() == 0 || refused.Load() == 0 {
		t.Error("nobody was let in, or everybody")
	}
}

func startNeighbours(t *testing.T) *neighbours {
	t.Helper()
	c := harness.StartContainer(t) // for its image, and the user CA
	ca := harness.PublicKey(t, harness.StateOf(c.Dir)+"/user_ca")
	socket := harness.EngineSocket(t)
	n := &neighbours{keys: map[string]string{}, hosts: map[string]string{}, ids: map[string]string{}, network: harness.HostName("swap")}
	n.engine = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	subnet := fmt.Sprintf("10.%d.%d.", 200+rand.IntN(50), rand.IntN(250))
	harness.Must(t, exec.Command("docker", "network", "create", "--subnet", subnet+"0/24", n.network))
	t.Cleanup(func() { harness.Must(t, exec.Command("docker", "network", "rm", n.network)) })
	config := "keepalive: 1s\nwait: 1s\nusers:\n"
	for i, person := range []string{"alice", "bob"} {
		n.keys[person], n.hosts[person], n.addresses[i] = harness.MakeKey(t, c.Dir, person), harness.HostName(person), subnet+fmt.Sprint(10+i)
		config += fmt.Sprintf("  %s: { keys: [ %s ], hosts: { %s: developer } }\n", person, harness.PublicKey(t, n.keys[person]), n.hosts[person])
		n.ids[person] = harness.RunContainer(t, "--init", "--hostname", person, "--network", n.network, "--ip", n.addresses[i],
			"--label", "berth.host="+n.hosts[person], "--label", "berth.route=sshd", "-e", "BERTH_USER_CA="+ca, c.Image(t))
		harness.Eventually(t, "its sshd", func() bool { return harness.Answers(n.addresses[i] + ":22") })
	}
	n.gateway = harness.StartGateway(t, c.Dir, config)
	return n
}

// swap gives each host the address of the other: away from its own, or back.
func (n *neighbours) swap(t *testing.T, away bool) {
	t.Helper()
	for _, person := range []string{"alice", "bob"} {
		n.ask(t, "disconnect", map[string]any{"Container": n.ids[person], "Force": true})
	}
	for i, person := range []string{"alice", "bob"} {
		if away {
			i = 1 - i
		}
		at := map[string]any{"IPAMConfig": map[string]string{"IPv4Address": n.addresses[i]}}
		n.ask(t, "connect", map[string]any{"Container": n.ids[person], "EndpointConfig": at})
	}
}

func (n *neighbours) ask(t *testing.T, what string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := n.engine.Post("http://engine/networks/"+n.network+"/"+what, "application/json", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if said, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s: %s", what, text, response.Status, said)
	}
}

// logIn logs in once, and asks the host whose it is. A host without an address is one
// that does not answer.
func (n *neighbours) logIn(t *testing.T, person string, entered, refused *atomic.Int64) {
	door := n.gateway.Door(person+"+"+n.hosts[person], n.keys[person])
	raw, err := net.Dial("tcp", door.Address)
	if err != nil {
		t.Error(err)
		return
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(5 * time.Second)) // on its own connection nobody waits for more
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
	said, _ := session.Output("hostname")
	switch whose := strings.TrimSpace(string(said)); whose {
	case person:
		entered.Add(1)
	case "":
		refused.Add(1)
	default:
		t.Errorf("%s is on a host of %s", person, whose)
	}
}
