package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
)

// fakeCodes has a code for each user, which is valid once.
type fakeCodes struct {
	mu    sync.Mutex
	codes map[string]string
	asked []string
}

func (f *fakeCodes) Spend(user, code string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, user)
	right := f.codes[user] != "" && f.codes[user] == code
	if right {
		delete(f.codes, user)
	}
	return right
}

// startWithRules returns a gateway with users dev and other, who log in by several
// steps.
func startWithRules(t *testing.T, codes *fakeCodes, texts ...string) *testGateway {
	t.Helper()
	g := startGateway(t, atMachine(newFakeMachine(echoes)), kept(func(k *keeper.Keeper) { k.Codes = codes }))
	rule := auth.Rule{}
	for _, text := range texts {
		steps, err := auth.ParseSteps(text)
		if err != nil {
			t.Fatal(err)
		}
		rule.With = append(rule.With, steps)
	}
	hash, err := auth.HashPassword([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := auth.NewPolicy([]auth.User{
		{Name: "dev", Password: hash, Keys: []ssh.PublicKey{g.dev.PublicKey()}, Hosts: map[string]auth.Grant{"lab": {}}},
		{Name: "other", Password: hash, Keys: []ssh.PublicKey{g.other.PublicKey()}, Hosts: map[string]auth.Grant{"lab": {}}},
	}, auth.WithRules(rule))
	if err != nil {
		t.Fatal(err)
	}
	g.keeper.Policies.Replace(policy)
	return g
}

func answering(code string, prompts *[]string) ssh.AuthMethod {
	return ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
		if prompts != nil {
			*prompts = append(*prompts, questions...)
		}
		answers := make([]string, len(questions))
		for i := range answers {
			answers[i] = code
		}
		return answers, nil
	})
}

func TestALoginOfSeveralSteps(t *testing.T) {
	key := func(g *testGateway) ssh.AuthMethod { return ssh.PublicKeys(g.dev) }
	for _, tt := range []struct {
		name  string
		with  []string
		shown func(g *testGateway) []ssh.AuthMethod
		enter bool
	}{
		{"a key and a code", []string{"key+totp"}, func(g *testGateway) []ssh.AuthMethod { return []ssh.AuthMethod{key(g), answering("right", nil)} }, true},
		{"a key and a wrong code", []string{"key+totp"}, func(g *testGateway) []ssh.AuthMethod { return []ssh.AuthMethod{key(g), answering("wrong", nil)} }, false},
		{"a key alone", []string{"key+totp"}, func(g *testGateway) []ssh.AuthMethod { return []ssh.AuthMethod{key(g)} }, false},
		{"a code alone", []string{"key+totp"}, func(g *testGateway) []ssh.AuthMethod { return []ssh.AuthMethod{answering("right", nil)} }, false},
		{"a password and a code, where a key is asked for", []string{"key+totp"},
			func(g *testGateway) []ssh.AuthMethod {
				return []ssh.AuthMethod{ssh.Password("secret"), answering("right", nil)}
			}, false},
		{"a password and a code", []string{"key+totp", "password+totp"},
			func(g *testGateway) []ssh.AuthMethod {
				return []ssh.AuthMethod{ssh.Password("secret"), answering("right", nil)}
			}, true},
		{"a key and a password", []string{"key+password"}, func(g *testGateway) []ssh.AuthMethod { return []ssh.AuthMethod{key(g), ssh.Password("secret")} }, true},
		{"a password, then a key", []string{"key+password"}, func(g *testGateway) []ssh.AuthMethod { return []ssh.AuthMethod{ssh.Password("secret"), key(g)} }, true},
		{"a key and a wrong password", []string{"key+password"}, func(g *testGateway) []ssh.AuthMethod { return []ssh.AuthMethod{key(g), ssh.Password("wrong")} }, false},
		{"a password, then another's key", []string{"key+password"},
			func(g *testGateway) []ssh.AuthMethod {
				return []ssh.AuthMethod{ssh.Password("secret"), ssh.PublicKeys(g.other)}
			}, false},
		{"all three", []string{"key+password+totp"},
			func(g *testGateway) []ssh.AuthMethod {
				return []ssh.AuthMethod{key(g), ssh.Password("secret"), answering("right", nil)}
			}, true},
		{"two of three", []string{"key+password+totp"}, func(g *testGateway) []ssh.AuthMethod { return []ssh.AuthMethod{key(g), answering("right", nil)} }, false},
	} {
		g := startWithRules(t, &fakeCodes{codes: map[string]string{"dev": "right"}}, tt.with...)
		client, err := g.dial("dev+lab", nil, tt.shown(g)...)
		if (err == nil) != tt.enter {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err != nil {
			continue
		}
		if got := runs(t, client, "x"); got.status != 3 {
			t.Errorf("%s: %+v", tt.name, got)
		}
		client.Close()
	}
}

// A stranger is never asked for a code, and so learns nothing from the question.
func TestACodeIsAskedForAfterAnotherStepOnly(t *testing.T) {
	codes := &fakeCodes{codes: map[string]string{"dev": "right"}}
	g := startWithRules(t, codes, "key+totp", "password+totp")
	for login, methods := range map[string][]ssh.AuthMethod{
		"dev+lab":    {ssh.Password("wrong"), ssh.PublicKeys(g.other)},
		"nobody+lab": {ssh.Password("secret"), ssh.PublicKeys(g.dev)},
	} {
		var prompts []string
		if client, err := g.dial(login, nil, append(methods, answering("right", &prompts))...); err == nil {
			client.Close()
			t.Errorf("%s is logged in", login)
		}
		for _, prompt := range prompts {
			if strings.Contains(prompt, "recovery") {
				t.Errorf("%s is asked for a code", login)
			}
		}
	}
	if len(codes.asked) > 0 {
		t.Errorf("codes of strangers were judged: %v", codes.asked)
	}
}

// The attack: prove the first step as oneself, then go on under another user's name,
// or the other way round. x/crypto refuses it, too; this tests what the callbacks do
// by themselves.
func TestANameSwappedBetweenStepsEntersNothing(t *testing.T) {
	for _, swap := range []struct{ first, then string }{{"dev+lab", "other+lab"}, {"other+lab", "dev+lab"}, {"dev+lab", "dev"}} {
		codes := &fakeCodes{codes: map[string]string{"dev": "right", "other": "right"}}
		g := startWithRules(t, codes, "key+totp", "key+password")
		signer := g.dev
		if strings.HasPrefix(swap.first, "other") {
			signer = g.other
		}
		meta := &changingName{ConnMetadata: fakeMeta{}, name: swap.first}
		c := newConn(g.Server, pipeEnd(t))
		stranger, err := g.door.Enter(c.wire.RemoteAddr(), func(error) {})
		if err != nil {
			t.Fatal(err)
		}
		c.stranger = stranger
		_, err = c.keyProved(t.Context())(meta, signer.PublicKey(), &ssh.Permissions{}, "")
		partial, ok := errors.AsType[*ssh.PartialSuccessError](err)
		if !ok {
			t.Fatalf("%+v: the first step: %v", swap, err)
		}
		meta.name = swap.then
		ask := func(string, string, []string, []bool) ([]string, error) { return []string{"right"}, nil }
		if permissions, err := partial.Next.KeyboardInteractiveCallback(meta, ask); err == nil || permissions != nil {
			t.Errorf("%+v: by a code: %+v, %v", swap, permissions, err)
		}
		if permissions, err := partial.Next.PasswordCallback(meta, []byte("secret")); err != auth.ErrDenied || permissions != nil {
			t.Errorf("%+v: by a password: %+v, %v", swap, permissions, err)
		}
		if len(codes.asked) > 0 {
			t.Errorf("%+v: a code is spent on it", swap)
		}
	}
}

type changingName struct {
	ssh.ConnMetadata
	name string
}

func (c *changingName) User() string { return c.name }

type fakeMeta struct{}

func (fakeMeta) User() string          { return "" }
func (fakeMeta) SessionID() []byte     { return nil }
func (fakeMeta) ClientVersion() []byte { return nil }
func (fakeMeta) ServerVersion() []byte { return nil }
func (fakeMeta) RemoteAddr() net.Addr  { return nil }
func (fakeMeta) LocalAddr() net.Addr   { return nil }

func pipeEnd(t *testing.T) net.Conn {
	t.Helper()
	a, b := tcpPair(t)
	t.Cleanup(func() { errors.Join(a.Close(), b.Close()) })
	return a
}

// A certificate logs a person in like a key, on every route.
func TestACertificateLogsIn(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(echoes)))
	ca := newSigner(t)
	policy, err := auth.NewPolicy([]auth.User{{Name: "dev", Hosts: map[string]auth.Grant{"lab": {}}}}, auth.WithAuthorities(ca.PublicKey()))
	if err != nil {
		t.Fatal(err)
	}
	g.keeper.Policies.Replace(policy)
	for principal, enters := range map[string]bool{"dev": true, "other": false} {
		c := &ssh.Certificate{Key: g.dev.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{principal}, ValidBefore: ssh.CertTimeInfinity}
		if err := c.SignCert(rand.Reader, ca); err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.NewCertSigner(c, g.dev)
		if err != nil {
			t.Fatal(err)
		}
		client, err := g.dial("dev+lab", nil, ssh.PublicKeys(signer))
		if (err == nil) != enters {
			t.Errorf("of %s: %v", principal, err)
		}
		if err != nil {
			continue
		}
		if got := runs(t, client, "x"); got.status != 3 {
			t.Errorf("%+v", got)
		}
		s, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if s.RequestPty("xterm", 1, 1, nil) == nil {
			t.Error("a pty without permit-pty")
		}
		client.Close()
	}
}

// The attack: guess passwords by the other method that asks for them, or guess codes
// with a stolen key. A login that completes all steps has no failures in between.
func TestGuessesOfEveryMethodAreCounted(t *testing.T) {
	for name, tt := range map[string]struct {
		steps   string
		logins  []string
		methods func(g *testGateway) []ssh.AuthMethod
		counted bool
	}{
		"passwords, by keyboard-interactive": {"password", []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "dev"},
			func(*testGateway) []ssh.AuthMethod { return []ssh.AuthMethod{answering("wrong", nil)} }, true},
		"codes": {"key+totp", []string{"dev", "dev", "dev", "dev", "dev", "other", "other", "other", "other", "other"},
			func(g *testGateway) []ssh.AuthMethod {
				return []ssh.AuthMethod{ssh.PublicKeys(g.dev, g.other), answering("wrong", nil)}
			}, true},
		"none": {"key+password", []string{"dev", "dev", "dev", "dev", "dev", "dev", "dev", "dev", "dev", "dev", "dev", "dev"},
			func(g *testGateway) []ssh.AuthMethod {
				return []ssh.AuthMethod{ssh.PublicKeys(g.dev), ssh.Password("secret")}
			}, false},
	} {
		g := startWithRules(t, &fakeCodes{}, tt.steps)
		for _, login := range tt.logins {
			client, err := g.dial(login, nil, tt.methods(g)...)
			if (err == nil) == tt.counted {
				t.Errorf("%s: %s: %v", name, login, err)
			}
			if err == nil {
				client.Close()
			}
		}
		harness.Eventually(t, name+": counted or not", func() bool { return (len(g.Penalties()) > 0) == tt.counted })
		if !tt.counted && strings.Contains(g.log.String(), "attempt failed") {
			t.Errorf("%s: %s", name, g.log)
		}
	}
}

// The attack: send the right password between any two guesses of a code, so that it
// clears the user's failures.
func TestOneRightStepMakesNoFailureGood(t *testing.T) {
	g := startWithRules(t, &fakeCodes{}, "password+totp")
	for range 6 { // the first five have no delay
		if client, err := g.dial("dev", nil, ssh.Password("secret"), answering("wrong", nil)); err == nil {
			client.Close()
			t.Fatal("logged in by a wrong code")
		}
	}
	next, err := g.door.Enter(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	next.Pace(t.Context(), "dev") // one may be tried now; the next one has to wait
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := next.Pace(soon, "dev"); err == nil {
		t.Error("nothing slows down who guesses on")
	}
}
