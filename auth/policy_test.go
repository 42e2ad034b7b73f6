package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// cheapHash costs a test nothing; its password is "pw of " and the name.
func cheapHash(name string) string {
	h := defaultArgon2()
	h.memory, h.time = 8, 1
	h.tag = h.sum([]byte("pw of " + name))
	return h.String()
}

func newKey(t testing.TB) ssh.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newPolicy(t testing.TB, users ...User) *Policy {
	t.Helper()
	policy, err := NewPolicy(users)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func TestKeys(t *testing.T) {
	alices, bobs, shared, strangers := newKey(t), newKey(t), newKey(t), newKey(t)
	policy := newPolicy(t,
		User{Name: "alice", Keys: []ssh.PublicKey{alices, shared}, Hosts: map[string]string{"a": ""}},
		User{Name: "bob", Keys: []ssh.PublicKey{bobs, shared}, Hosts: map[string]string{"b": ""}},
		User{Name: "carol", Password: cheapHash("carol")},
	)
	for _, tt := range []struct {
		login string
		key   ssh.PublicKey
		opens bool
	}{
		{"alice", alices, true}, {"alice+a", alices, true}, {"alice+root@b", alices, true},
		{"bob", bobs, true}, {"bob", shared, true}, {"alice", shared, true},
		{"bob", alices, false}, {"alice", bobs, false}, {"alice", strangers, false}, {"carol", alices, false}, {"nobody", alices, false},
		{"", alices, false}, {"alice+", alices, false}, {"Alice", alices, false}, {"alice+b+c", alices, false}, {"alice", nil, false},
	} {
		grant, err := policy.PublicKey(tt.login, tt.key)
		if tt.opens && (err != nil || grant.Login().String() != tt.login || grant.User() != grant.Login().User) {
			t.Errorf("%q: %+v, %v", tt.login, grant, err)
		}
		if !tt.opens && (grant != nil || err != ErrDenied) {
			t.Errorf("%q: %+v, %v; want to be denied", tt.login, grant, err)
		}
	}
}

func TestCertificateIsNoKey(t *testing.T) {
	key := newKey(t)
	policy := newPolicy(t, User{Name: "alice", Keys: []ssh.PublicKey{key}})
	for _, cert := range []*ssh.Certificate{
		{Key: key, SignatureKey: key, CertType: ssh.UserCert, ValidPrincipals: []string{"alice"}, ValidBefore: ssh.CertTimeInfinity},
		{Key: key},
		{},
	} {
		if grant, err := policy.PublicKey("alice", cert); grant != nil || err != ErrDenied {
			t.Errorf("a certificate gets %+v, %v", grant, err)
		}
	}
}

func TestPasswords(t *testing.T) {
	policy := newPolicy(t,
		User{Name: "alice", Password: cheapHash("alice"), Hosts: map[string]string{"a": ""}},
		User{Name: "bob", Keys: []ssh.PublicKey{newKey(t)}},
	)
	for _, tt := range []struct {
		login, password string
		opens           bool
	}{
		{"alice", "pw of alice", true}, {"alice+a", "pw of alice", true}, {"alice+elsewhere", "pw of alice", true},
		{"alice", "pw of bob", false}, {"alice", "", false}, {"alice", "pw of alice\x00", false}, {"alice+a", "wrong", false},
		{"alice", strings.Repeat("x", 1024), false}, {"alice", strings.Repeat("x", 1025), false},
		{"bob", "", false}, {"bob", "pw of bob", false}, {"nobody", "pw of alice", false}, {"nobody", "", false},
		{"", "pw of alice", false}, {"alice+", "pw of alice", false}, {"alice ", "pw of alice", false}, {"ALICE", "pw of alice", false},
	} {
		grant, err := policy.Password(t.Context(), tt.login, []byte(tt.password))
		if tt.opens && (err != nil || grant.Login().String() != tt.login || grant.User() != "alice") {
			t.Errorf("%q: %+v, %v", tt.login, grant, err)
		}
		if !tt.opens && (grant != nil || err != ErrDenied) {
			t.Errorf("%q: %+v, %v; want to be denied", tt.login, grant, err)
		}
	}
}

func TestNoPasswordOpensAnUnknownUser(t *testing.T) {
	policy := newPolicy(t)
	policy.dummy = func([]byte) bool { return true }
	if grant, err := policy.Password(t.Context(), "nobody", []byte("x")); grant != nil || err != ErrDenied {
		t.Errorf("%+v, %v", grant, err)
	}
}

// One connection, many names: alice tries first as herself, offers bob's key,
// names bob with her own password, and then logs in. Whatever came before, and
// whatever others try meanwhile, she is alice and asks for what she asked last.
func TestIdentityIsThatOfTheAttemptThatSucceeded(t *testing.T) {
	alices, bobs := newKey(t), newKey(t)
	policy := newPolicy(t,
		User{Name: "alice", Password: cheapHash("alice"), Keys: []ssh.PublicKey{alices}, Hosts: map[string]string{"a": "", "c": ""}},
		User{Name: "bob", Password: cheapHash("bob"), Keys: []ssh.PublicKey{bobs}, Hosts: map[string]string{"b": ""}},
	)
	attack := func(i int) error {
		denied := func(grant *Grant, err error) error {
			if grant != nil || err != ErrDenied {
				return fmt.Errorf("%+v, %v; want to be denied", grant, err)
			}
			return nil
		}
		host := fmt.Sprintf("host%d", i)
		offered, _ := policy.PublicKey("bob+b", bobs) // an offer needs no signature
		err := errors.Join(
			denied(policy.Password(t.Context(), "alice+a", []byte("wrong"))),
			denied(policy.Password(t.Context(), "bob+b", []byte("pw of alice"))),
			denied(policy.PublicKey("bob+b", alices)),
		)
		grant, grantErr := policy.Password(t.Context(), "alice+"+host, []byte("pw of alice"))
		if grantErr != nil || grant.User() != "alice" || grant.Login() != (Login{User: "alice", Host: host}) {
			return errors.Join(err, fmt.Errorf("%+v, %v", grant, grantErr))
		}
		_, _, refusal := grant.Target()
		if want := fmt.Sprintf("host %q is not granted to alice; granted: a, c", host); refusal == nil || refusal.Error() != want {
			err = errors.Join(err, fmt.Errorf("target: %v", refusal))
		}
		if offered.User() != "bob" {
			err = errors.Join(err, errors.New("a later attempt changed an earlier grant"))
		}
		return err
	}
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			if err := attack(i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestPasswordWaitsNoLongerThanItsContext(t *testing.T) {
	policy := newPolicy(t)
	for range cap(policy.slots) {
		policy.slots <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := policy.Password(ctx, "dev", []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestNewPolicyRefuses(t *testing.T) {
	key := newKey(t)
	smallRSA, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := ssh.NewPublicKey(&smallRSA.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, users := range map[string][]User{
		"no name":      {{}},
		"a bad name":   {{Name: "a b"}},
		"a name twice": {{Name: "a"}, {Name: "a"}},
		"plain text":   {{Name: "a", Password: "hunter2"}},
		"a bomb":       {{Name: "a", Password: "$argon2id$v=19$m=4194304,t=2,p=1$" + salt16 + "$" + tag32}},
		"no key":       {{Name: "a", Keys: []ssh.PublicKey{nil}}},
		"certificate":  {{Name: "a", Keys: []ssh.PublicKey{&ssh.Certificate{Key: key}}}},
		"weak key":     {{Name: "a", Keys: []ssh.PublicKey{weak}}},
		"bad host":     {{Name: "a", Hosts: map[string]string{"../x": ""}}},
		"bad account":  {{Name: "a", Hosts: map[string]string{"x": "-x"}}},
	} {
		policy, err := NewPolicy(users)
		if policy != nil || err == nil {
			t.Errorf("%s is taken", name)
			continue
		}
		if strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), salt16) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseKey(t *testing.T) {
	key := newKey(t)
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	for _, good := range []string{line, line + " dev@laptop", "  " + line + " a comment, of words\n"} {
		if got, err := ParseKey(good); err != nil || string(got.Marshal()) != string(key.Marshal()) {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "#", "# " + line, "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa " + strings.Fields(line)[1], strings.Fields(line)[1],
		line + "\n" + line, "x\n" + line, "restrict " + line, `from="10.0.0.0/8" ` + line, "cert-authority " + line,
		`command="x",no-pty ` + line, "-----BEGIN OPENSSH PRIVATE KEY-----",
	} {
		if got, err := ParseKey(bad); err == nil || got != nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// A stranger must not learn who is known from how long a denial takes: each one
// costs one hash, and the hash that stands in for none costs what a user's does.
func TestUnknownUserTakesAsLong(t *testing.T) {
	hash, err := HashPassword([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	policy := newPolicy(t, User{Name: "dev", Password: hash}, User{Name: "keys", Keys: []ssh.PublicKey{newKey(t)}})
	count := func(verify func([]byte) bool, hashed *int) func([]byte) bool {
		return func(password []byte) bool { *hashed++; return verify(password) }
	}
	var own, stand int
	policy.users["dev"].verify = count(policy.users["dev"].verify, &own)
	policy.dummy = count(policy.dummy, &stand)
	for _, login := range []string{"dev", "nobody", "keys", "not a login", "dev+nowhere", ""} {
		own, stand = 0, 0
		policy.Password(t.Context(), login, []byte("wrong"))
		if own+stand != 1 {
			t.Errorf("a denial of %q costs %d hashes, want 1", login, own+stand)
		}
	}
	made, err := parseArgon2(hash)
	dummy := defaultArgon2()
	if err != nil || made.memory != dummy.memory || made.time != dummy.time || made.threads != dummy.threads || len(made.tag) != len(dummy.tag) {
		t.Errorf("a user's hash costs %v, %v; the one that stands in %v", made, err, dummy)
	}
}
