package gateway

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
)

func TestAPasswordAndAKeyLogIn(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(echoes)))
	for name, method := range map[string]ssh.AuthMethod{
		"a password": ssh.Password("secret"),
		"a key":      ssh.PublicKeys(g.dev),
	} {
		client, err := g.dial("dev+lab", nil, method)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := runs(t, client, "x"); got.status != 3 {
			t.Errorf("%s: %+v", name, got)
		}
		client.Close()
	}
}

// Whatever the reason, a failed login looks the same to a stranger, and causes no
// call to a host or an engine.
func TestStrangersAreDeniedAlike(t *testing.T) {
	from := atMachine(newFakeMachine(echoes))
	from.comingBack = true
	g := startGateway(t, from)
	for name, try := range map[string]struct {
		login  string
		method ssh.AuthMethod
	}{
		"an unknown user":      {"nobody+lab", ssh.Password("secret")},
		"a wrong password":     {"dev+lab", ssh.Password("wrong")},
		"no password to have":  {"other+vault", ssh.Password("secret")},
		"another's key":        {"dev+lab", ssh.PublicKeys(g.other)},
		"a host not granted":   {"nobody+vault", ssh.PublicKeys(g.dev)},
		"what is no login":     {"dev++", ssh.PublicKeys(g.dev)},
		"a key nobody has":     {"dev+lab", ssh.PublicKeys(newSigner(t))},
		"nothing at all":       {"dev+lab", ssh.Password("")},
		"a password as a name": {"correct horse battery", ssh.Password("x")},
	} {
		var banner string
		client, err := g.dial(try.login, &banner, try.method)
		if err == nil {
			client.Close()
			t.Errorf("%s: logged in", name)
			continue
		}
		if !strings.Contains(err.Error(), "unable to authenticate") || banner != "" {
			t.Errorf("%s: %v, %q", name, err, banner)
		}
	}
	if from.calls() != 0 || len(g.Live()) != 0 {
		t.Errorf("%d calls for strangers, live %+v", from.calls(), g.Live())
	}
	if log := g.log.String(); strings.Contains(log, "battery") || !strings.Contains(log, `login="not a login"`) {
		t.Errorf("the log: %s", log)
	}
}

// The attack: ask about a key that may enter much, which needs no signature, and then
// prove another one. The identity must come from the proved key.
func TestWhoAConnectionIsWasProvedByItsLastAttempt(t *testing.T) {
	from := atMachine(newFakeMachine(echoes))
	g := startGateway(t, from)
	offered := 0
	offering := ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
		return []ssh.Signer{cannotSign{g.other, &offered}, g.dev}, nil
	})
	client, err := g.dial("dev+vault", nil, offering)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got := runs(t, client, "x")
	if got.status != 255 || !strings.Contains(got.err, `host "vault" is not granted to dev`) {
		t.Errorf("got %+v", got)
	}
	if live := g.Live(); len(live) != 1 || live[0].Identity.User != "dev" || live[0].Identity.Credential != ssh.FingerprintSHA256(g.dev.PublicKey()) {
		t.Errorf("live: %+v", live)
	}
	if from.calls() != 0 {
		t.Errorf("a host was asked for: %q", from.opened)
	}
}

// cannotSign has only a public key, which anybody can offer.
type cannotSign struct {
	ssh.Signer
	asked *int
}

func (s cannotSign) Sign(io.Reader, []byte) (*ssh.Signature, error) {
	*s.asked++
	return nil, errors.New("no private key")
}

// Before the login is over, no host is looked up and no engine is called; the banner
// shows only what is known already. Otherwise a host that does not answer would hold
// up the login.
func TestLoggingInAsksNoHost(t *testing.T) {
	from, loggedIn := atMachine(newFakeMachine(echoes)), make(chan struct{})
	from.comingBack = true
	from.lookup = func(name string) (hosts.Host, error) {
		<-loggedIn
		return hosts.Host{Name: name, Route: labels.RouteExec}, nil
	}
	g := startGateway(t, from)
	var client *ssh.Client
	var banner string
	var err error
	dialled := make(chan struct{})
	go func() {
		defer close(dialled)
		client, err = g.dial("dev+lab", &banner, ssh.PublicKeys(g.dev))
	}()
	defer close(loggedIn)
	within(t, "the login is over", dialled)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if want := "berth: host lab is restarting; waiting for it\n"; banner != want {
		t.Errorf("said %q, want %q", banner, want)
	}
}

// People who are logged in stay when the policy is replaced. Later logins are judged
// by the new one.
func TestThePolicyIsExchangedUnderLiveConnections(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(echoes)))
	client := g.enter(t, "dev+lab")
	runs(t, client, "before")
	empty, err := auth.NewPolicy(nil)
	if err != nil {
		t.Fatal(err)
	}
	g.keeper.Policies.Replace(empty)
	if got := runs(t, client, "after"); got.out != "ran after;" {
		t.Errorf("who was there: %+v", got)
	}
	if client, err := g.dial("dev+lab", nil, ssh.PublicKeys(g.dev)); err == nil {
		client.Close()
		t.Error("who came later is logged in")
	}
}

func TestALoginThatBreaksOffIsLogged(t *testing.T) {
	g := startGateway(t, &fakeHosts{})
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	conn.Write([]byte("SSH-2.0-x\r\n"))
	conn.Close()
	harness.Eventually(t, "the log tells", func() bool { return strings.Contains(g.log.String(), `level=INFO msg="not logged in"`) })
}

// Load balancers and probes connect every few seconds to see whether the port
// answers. This must neither fill the log nor slow down people from the same address.
func TestALookAtThePortIsNoLogin(t *testing.T) {
	g := startGateway(t, &fakeHosts{})
	for range 100 {
		conn, err := net.Dial("tcp", g.address)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	harness.Eventually(t, "all of them left", func() bool { return strings.Count(g.log.String(), "not logged in") == 100 })
	if strings.Contains(g.log.String(), `level=INFO msg="not logged in"`) {
		t.Errorf("it is in the log")
	}
	if penalties := g.Penalties(); len(penalties) > 0 {
		t.Errorf("it counts as a failure: %v", penalties)
	}
}

// A person types the password in the place of the user name, and it looks like a
// name.
func TestAPasswordTypedAsANameIsNotLogged(t *testing.T) {
	keyed := func(key string) func(*Server) { return kept(func(k *keeper.Keeper) { k.LogKey = []byte(key) }) }
	g := startGateway(t, &fakeHosts{}, keyed("a key"))
	first, other := g.failsAs(t, "correct-horse.battery"), g.failsAs(t, "correct-horse.battery+lab")
	if strings.Contains(g.log.String(), "horse") || !strings.HasPrefix(first, "unknown:") || first == other {
		t.Errorf("logged as %s and %s", first, other)
	}
	if again := g.failsAs(t, "correct-horse.battery"); again != first {
		t.Errorf("one name is %s, and %s", first, again)
	}
	if known := g.failsAs(t, "dev+lab"); known != "dev+lab" {
		t.Errorf("a user is %s", known)
	}
	if startGateway(t, &fakeHosts{}, keyed("another key")).failsAs(t, "correct-horse.battery") == first {
		t.Error("the digest needs no key")
	}
	open := startGateway(t, &fakeHosts{}, kept(func(k *keeper.Keeper) { k.LogUnknownUsers = true }))
	if open.failsAs(t, "correct-horse.battery") != "correct-horse.battery" {
		t.Error("not written out although asked to")
	}
}

// failsAs tries a wrong password, and returns the user name that the log shows.
func (g *testGateway) failsAs(t *testing.T, login string) string {
	t.Helper()
	before := len(g.log.String())
	if client, err := g.dial(login, nil, ssh.Password("wrong")); err == nil {
		client.Close()
		t.Errorf("%s is logged in", login)
	}
	_, after, _ := strings.Cut(g.log.String()[before:], `msg="attempt failed"`)
	_, after, _ = strings.Cut(after, "login=")
	return strings.Fields(after)[0]
}

// Graphical clients know only keyboard-interactive. It asks for the same password.
func TestAPasswordMayBeAskedFor(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(echoes)))
	for password, isRight := range map[string]bool{"secret": true, "wrong": false} {
		var asked []string
		var echoed bool
		client, err := g.dial("dev+lab", nil, ssh.KeyboardInteractive(func(_, _ string, questions []string, echos []bool) ([]string, error) {
			asked = append(asked, questions...)
			echoed = slices.Contains(echos, true)
			return slices.Repeat([]string{password}, len(questions)), nil
		}))
		if (err == nil) != isRight || !slices.Equal(asked, []string{"Password: "}) || echoed {
			t.Errorf("%s: asked %q, echoed %v, %v", password, asked, echoed, err)
		}
		if err == nil {
			client.Close()
		}
	}
	if !strings.Contains(g.log.String(), "method=keyboard-interactive") {
		t.Error("the attempt that failed is not in the log")
	}
}

// A client that knows ed25519 gets that key, whatever it prefers, since people know
// its fingerprint.
func TestOtherHostKeysAreForThoseThatKnowNoEd25519(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(echoes)), stateKeys(openState(t)))
	for _, c := range []struct {
		offers []string
		want   string
	}{
		{[]string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoED25519}, ssh.KeyAlgoED25519},
		{[]string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSASHA512}, ssh.KeyAlgoECDSA256},
		{[]string{ssh.KeyAlgoRSASHA256}, ssh.KeyAlgoRSA},
	} {
		var shown string
		client, err := ssh.Dial("tcp", g.address, &ssh.ClientConfig{
			User: "dev+lab", Auth: []ssh.AuthMethod{ssh.PublicKeys(g.dev)}, HostKeyAlgorithms: c.offers,
			HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
				shown = key.Type()
				return nil
			},
		})
		if err != nil || shown != c.want {
			t.Errorf("%v: %s, %v", c.offers, shown, err)
			continue
		}
		client.Close()
	}
}
