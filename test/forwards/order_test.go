package forwards

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/test/harness"
)

// pipelines is how often a client on one connection sends what must be done in
// order, and logins how often a new one does.
func pipelines() int { return harness.Load(40, 200) }

func logins() int { return harness.Load(4, 200) }

// order wants what a peer sends to be carried out in the order in which it is
// sent, where nothing but that order says what comes first.
func order(t *testing.T, to harness.Target) {
	t.Run("pipelined_ports", func(t *testing.T) {
		t.Parallel()
		pipelined(t, to.Enter(t), tcpForwards(t))
	})
	t.Run("pipelined_sockets", func(t *testing.T) {
		t.Parallel()
		pipelined(t, to.Enter(t), unixForwards(to.FarSocket(t)))
	})
	t.Run("cancelled_ports", func(t *testing.T) {
		t.Parallel()
		c, forwards := to.Enter(t), tcpForwards(t)
		cancelled(t, c, forwards)
		taken(t, c, forwards(0))
	})
	t.Run("cancelled_sockets", func(t *testing.T) {
		t.Parallel()
		cancelled(t, to.Enter(t), unixForwards(to.FarSocket(t)))
	})
	t.Run("a_forward_through_a_forward", func(t *testing.T) {
		t.Parallel()
		harness.Need(t, "python3")
		throughForwards(t, to)
	})
	t.Run("a_command_sees_every_forward", func(t *testing.T) {
		t.Parallel()
		for range logins() {
			seesForwards(t, to)
		}
	})
	t.Run("300_forwards", func(t *testing.T) {
		t.Parallel()
		manyForwards(t, to.Enter(t))
	})
	t.Run("one_forward_too_many_is_refused_alone", func(t *testing.T) {
		t.Parallel()
		if to.Name == "sshd" {
			t.Skip("a bare sshd has no limit but that of its open files")
		}
		tooManyForwards(t, to.Enter(t))
	})
}

// forwarding is how a forward is asked for.
type forwarding struct {
	forward, cancel, direct, forwarded string
	address, to                        []byte // payloads
}

type address struct {
	Address string
	Port    uint32
}

// tcpForwards are one and the same, again and again.
func tcpForwards(t *testing.T) func(int) forwarding {
	number, _ := strconv.Atoi(harness.FreePort(t))
	port := uint32(number)
	return func(int) forwarding {
		return forwarding{
			forward: "tcpip-forward", cancel: "cancel-tcpip-forward", direct: "direct-tcpip", forwarded: "forwarded-tcpip",
			address: ssh.Marshal(address{"127.0.0.1", port}),
			to: ssh.Marshal(struct {
				Host   string
				Port   uint32
				Origin string
				From   uint32
			}{"127.0.0.1", port, "127.0.0.1", 1}),
		}
	}
}

// unixForwards are at different paths: a bare sshd leaves the socket behind.
func unixForwards(path string) func(int) forwarding {
	return func(i int) forwarding {
		path := fmt.Sprint(path, i)
		return forwarding{
			forward: "streamlocal-forward@openssh.com", cancel: "cancel-streamlocal-forward@openssh.com",
			direct: "direct-streamlocal@openssh.com", forwarded: "forwarded-streamlocal@openssh.com",
			address: ssh.Marshal(struct{ Path string }{path}),
			to: ssh.Marshal(struct {
				Path, Reserved string
				Port           uint32
			}{Path: path}),
		}
	}
}

// pipelined asks for a forward, and opens a channel to it, without waiting.
func pipelined(t *testing.T, c *ssh.Client, forwards func(int) forwarding) {
	opened := c.HandleChannelOpen(forwards(0).forwarded)
	failed := 0
	for i := range pipelines() {
		k := forwards(i)
		c.SendRequest(k.forward, false, k.address)
		channel, requests, err := c.OpenChannel(k.direct, k.to)
		if err != nil {
			failed++
			t.Log(err)
		} else {
			go ssh.DiscardRequests(requests)
			wantThrough(t, channel, <-opened)
		}
		if ok, _, err := c.SendRequest(k.cancel, true, k.address); !ok || err != nil {
			t.Errorf("cancelled: %v, %v", ok, err)
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d channels overtook their forward", failed, pipelines())
	}
}

// wantThrough wants what is said at one end to be heard at the other.
func wantThrough(t *testing.T, channel ssh.Channel, arrived ssh.NewChannel) {
	t.Helper()
	far, requests, err := arrived.Accept()
	if err != nil {
		t.Error(err)
		return
	}
	go ssh.DiscardRequests(requests)
	io.WriteString(channel, "through")
	channel.CloseWrite()
	if said, err := io.ReadAll(far); string(said) != "through" || err != nil {
		t.Errorf("%q comes through, %v", said, err)
	}
	far.Close()
	channel.Close()
}

// cancelled wants nobody to listen once a cancel is answered.
func cancelled(t *testing.T, c *ssh.Client, forwards func(int) forwarding) {
	accepted := 0
	for i := range pipelines() {
		k := forwards(i)
		for _, request := range []string{k.forward, k.cancel} {
			if ok, _, err := c.SendRequest(request, true, k.address); !ok || err != nil {
				t.Errorf("%s: %v, %v", request, ok, err)
			}
		}
		if channel, _, err := c.OpenChannel(k.direct, k.to); err == nil {
			accepted++
			channel.Close()
		}
	}
	if accepted > 0 {
		t.Errorf("%d of %d cancelled forwards still accept", accepted, pipelines())
	}
}

// taken wants a forward to find its address free after a cancel that nobody
// waited for.
func taken(t *testing.T, c *ssh.Client, k forwarding) {
	refused := 0
	for range pipelines() {
		if ok, _, err := c.SendRequest(k.forward, true, k.address); !ok || err != nil {
			refused++
		}
		c.SendRequest(k.cancel, false, k.address)
	}
	if refused > 0 {
		t.Errorf("%d of %d forwards found their address taken by the cancelled one", refused, pipelines())
	}
}

// throughForwards connects through two forwards of one client, which goes into
// the background when both are there.
func throughForwards(t *testing.T, to harness.Target) {
	echo := harness.StartLocalEcho(t)
	for range logins() {
		near, far := harness.FreePort(t), harness.FreePort(t)
		client := to.Start(t, `ssh -S $SOCK -M -f -N -o ExitOnForwardFailure=yes -R 127.0.0.1:$FAR:127.0.0.1:$ECHO -L $NEAR:127.0.0.1:$FAR h && echo there; read -r end; ssh -S $SOCK -O exit h`,
			"SOCK="+t.TempDir()+"/s", "NEAR="+near, "FAR="+far, "ECHO="+echo)
		if said := client.ReadLine(t); said != "there" {
			t.Errorf("the client says %q", said)
		}
		harness.WantEcho(t, "tcp", net.JoinHostPort("127.0.0.1", near))
		io.WriteString(client.Stdin, "end\n")
		client.Wait(t)
	}
}

// seesForwards counts listeners from inside.
func seesForwards(t *testing.T, to harness.Target) {
	t.Helper()
	var forwards, ports []string
	for range 30 {
		port := harness.FreePort(t)
		number, _ := strconv.Atoi(port)
		forwards = append(forwards, "-R 127.0.0.1:"+port+":127.0.0.1:1")
		ports = append(ports, fmt.Sprintf("0100007F:%04X .* 0A ", number)) // others may listen elsewhere
	}
	to.Want(t, `ssh $FORWARDS h "grep -cE '$PORTS' /proc/net/tcp"`, "30\n", "FORWARDS="+strings.Join(forwards, " "), "PORTS="+strings.Join(ports, "|"))
}

// manyForwards are as many as a bare sshd takes, all asked for at once.
func manyForwards(t *testing.T, c *ssh.Client) {
	const many = 300
	for range many - 1 {
		c.SendRequest("tcpip-forward", false, ssh.Marshal(address{"127.0.0.1", 0}))
	}
	ok, _, err := c.SendRequest("tcpip-forward", true, ssh.Marshal(address{"127.0.0.1", 0}))
	if !ok || err != nil {
		t.Errorf("the last of %d forwards: %v, %v", many, ok, err)
	}
	wantAlive(t, c)
}

// maxForwards is how many docs/clients.md promises.
const maxForwards = 500

func tooManyForwards(t *testing.T, c *ssh.Client) {
	var last struct{ Port uint32 }
	ask := func(name string, port uint32) bool {
		ok, answer, err := c.SendRequest(name, true, ssh.Marshal(address{"127.0.0.1", port}))
		if err != nil {
			t.Fatal(err)
		}
		if ok && port == 0 {
			ssh.Unmarshal(answer, &last)
		}
		return ok
	}
	for n := range maxForwards {
		if !ask("tcpip-forward", 0) {
			t.Fatalf("forward %d is refused", n+1)
		}
	}
	if ask("tcpip-forward", 0) {
		t.Error("one more is taken")
	}
	wantAlive(t, c)
	if !ask("cancel-tcpip-forward", last.Port) || !ask("tcpip-forward", 0) {
		t.Error("none is taken for one that was cancelled")
	}
}

func wantAlive(t *testing.T, c *ssh.Client) {
	t.Helper()
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if said, err := session.Output("echo alive"); string(said) != "alive\n" || err != nil {
		t.Errorf("a command then prints %q, %v", said, err)
	}
}
