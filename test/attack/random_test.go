package attack

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/peer"

	"golang.org/x/crypto/argon2"
)

// startRandom starts a gateway for what is random.
func startRandom(t *testing.T) *harness.Gateway {
	t.Helper()
	if !harness.Soaking() {
		t.Skip("only in make soak, which sets " + harness.EnvSoak)
	}
	return startCheap(t)
}

// startCheap starts a gateway with alice's and bob's passwords, which cost nothing.
func startCheap(t *testing.T) *harness.Gateway {
	t.Helper()
	return harness.StartGateway(t, t.TempDir(), fmt.Sprintf(`
exempt: [ 127.0.0.1 ] # of what wrong passwords cost
users:
  alice: { password: %q, hosts: { a: } }
  bob: { password: %q, hosts: { b: } }
hosts: { a: { route: local }, b: { route: local } }
`, cheapHash(alicePassword), cheapHash(bobPassword)))
}

// cheapHash is a hash that costs nothing, so that many can be tried.
func cheapHash(password string) string {
	salt := []byte("0123456789abcdef")
	encode := base64.RawStdEncoding.EncodeToString
	return "$argon2id$v=19$m=8,t=1,p=1$" + encode(salt) + "$" + encode(argon2.IDKey([]byte(password), salt, 1, 8, 1, 32))
}

// Ten minutes of packets that are half right: true message numbers with fields of
// any length, before the login and after it. The gateway neither panics, which
// harness looks for in its log, nor stops serving, and nothing of the connections
// is left behind.
func TestRandomPackets(t *testing.T) {
	g := startRandom(t)
	seed := uint64(time.Now().UnixNano())
	settle := rand.New(rand.NewPCG(seed, seed))
	for range 100 { // what the gateway allocates once
		sendRandom(g.Address, settle)
	}
	before := awaitNobody(t, g)
	var connections, packets atomic.Int64
	var all sync.WaitGroup
	for worker := range uint64(4) {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, worker))
			for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); connections.Add(1) {
				packets.Add(int64(sendRandom(g.Address, random)))
			}
		})
	}
	all.Wait()
	t.Logf("seed %d: %d packets on %d connections", seed, packets.Load(), connections.Load())
	wantNothingLeft(t, g, before)
	p, err := peer.Dial(g.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Conn.Close()
	if err := p.Login("alice+a", alicePassword); err != nil {
		t.Errorf("alice no longer comes in: %v", err)
	}
}

// sendRandom sends random packets on one connection, half of them logged in, and
// returns how many.
func sendRandom(address string, random *rand.Rand) (sent int) {
	p, err := peer.Dial(address)
	if err != nil {
		return 0
	}
	defer p.Conn.Close()
	p.Conn.SetDeadline(time.Now().Add(10 * time.Second))
	if random.IntN(2) == 0 && p.Login("alice+a", alicePassword) != nil {
		return 0
	}
	if random.IntN(2) == 0 {
		p.Send(peer.MsgChannelOpen, "session", 0, 1<<20, 1<<15)
	}
	for sent = range 1 + random.IntN(400) {
		number := byte(random.IntN(256))
		if known := []byte{1, 2, 3, 4, 5, 20, 21, 30, 50, 61, 80, 81, 82, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100}; random.IntN(4) > 0 {
			number = known[random.IntN(len(known))]
		}
		p.Send(number, randomFields(random)...)
		if p.Flush() != nil {
			break
		}
	}
	return sent + 1
}

func randomFields(random *rand.Rand) []any {
	words := []string{"session", "direct-tcpip", "shell", "exec", "env", "pty-req", "subsystem", "sftp", "tcpip-forward", "ssh-userauth",
		"ssh-connection", "password", "publickey", "alice+a", "keepalive@openssh.com", "127.0.0.1", "exit-status", "window-change", "signal"}
	fields := make([]any, random.IntN(7))
	for i := range fields {
		switch random.IntN(6) {
		case 0:
			fields[i] = words[random.IntN(len(words))]
		case 1:
			fields[i] = random.IntN(2) == 0
		case 2:
			fields[i] = random.IntN(4)
		case 3:
			fields[i] = int(random.Uint32())
		case 4:
			bytes := make([]byte, random.IntN(64))
			for j := range bytes {
				bytes[j] = byte(random.IntN(256))
			}
			fields[i] = bytes
		default:
			fields[i] = strings.Repeat("x", random.IntN(1<<random.IntN(16)))
		}
	}
	return fields
}

// Ten thousand random sequences of attempts by password: who comes in is the one
// whose password it was, at whose host.
func TestRandomLogins(t *testing.T) {
	g := startRandom(t)
	const sequences = 10_000
	seed := uint64(time.Now().UnixNano())
	var next, attempts, logins atomic.Int64
	var all sync.WaitGroup
	for worker := range uint64(8) {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, worker))
			for next.Add(1) <= sequences {
				tried, in, err := tryRandom(g.Address, random)
				attempts.Add(int64(tried))
				if in {
					logins.Add(1)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	t.Logf("seed %d: %d sequences, %d attempts, %d logins", seed, sequences, attempts.Load(), logins.Load())
	for _, r := range g.Records(t) {
		if r["msg"] == "entered" && (r["user"] == "alice") != (r["host"] == "a") {
			t.Errorf("a wrong host: %v", r)
		}
	}
}

// tryRandom makes up to nine attempts on one connection, until one comes in. The
// error is about one that came in by another's password, or did not by its own.
func tryRandom(address string, random *rand.Rand) (attempts int, in bool, err error) {
	p, err := peer.Dial(address)
	if err != nil {
		return 0, false, err
	}
	defer p.Conn.Close()
	p.Conn.SetDeadline(time.Now().Add(time.Minute))
	p.Send(peer.MsgServiceRequest, "ssh-userauth")
	if err := p.Flush(); err != nil {
		return 0, false, err
	}
	if _, err := p.Expect(peer.MsgServiceAccept); err != nil {
		return 0, false, err
	}
	users := []string{"alice", "bob", "alice+a", "bob+b", "alice+b", "bob+a", "mallory", "alice+"}
	passwords := map[string]string{alicePassword: "alice", bobPassword: "bob", "wrong": "nobody", "wrong too": "nobody", "": "nobody"}
	words := []string{alicePassword, bobPassword, "wrong", "wrong too", ""}
	for attempts = range 1 + random.IntN(9) {
		user, password := users[random.IntN(len(users))], words[random.IntN(len(words))]
		name, host, _ := strings.Cut(user, "+")
		right := passwords[password] == name && user != "alice+"
		p.Try(user, password)
		if err := p.Flush(); err != nil {
			return attempts, false, err
		}
		message, err := p.Receive()
		if err != nil {
			return attempts, false, err
		}
		if in = message[0] == peer.MsgUserAuthSuccess; in != right {
			return attempts, in, fmt.Errorf("%s with the password of %s: message %d, host %q", user, passwords[password], message[0], host)
		}
		if in {
			break
		}
	}
	return attempts + 1, in, nil
}
