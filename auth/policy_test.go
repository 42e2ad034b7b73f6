package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/ssh"
)

// cheapHash returns a hash that is quick to verify; the password is "pw of " and the
// name.
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
		User{Name: "alice", Keys: []ssh.PublicKey{alices, shared}, Hosts: map[string]Grant{"a": {}}},
		User{Name: "bob", Keys: []ssh.PublicKey{bobs, shared}, Hosts: map[string]Grant{"b": {}}},
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
		who, err := policy.PublicKey(tt.login, tt.key, netip.Addr{})
		if tt.opens && (err != nil || who.Login.String() != tt.login || who.User != who.Login.User) {
			t.Errorf("%q: %+v, %v", tt.login, who, err)
		}
		if !tt.opens && (!isNobody(who) || err != ErrDenied) {
			t.Errorf("%q: %+v, %v; want to be denied", tt.login, who, err)
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
		if who, err := policy.PublicKey("alice", cert, netip.Addr{}); !isNobody(who) || err != ErrDenied {
			t.Errorf("a certificate gets %+v, %v", who, err)
		}
	}
}

func TestPasswords(t *testing.T) {
	policy := newPolicy(t,
		User{Name: "alice", Password: cheapHash("alice"), Hosts: map[string]Grant{"a": {}}},
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
		who, err := policy.Password(tt.login, []byte(tt.password))
		if tt.opens && (err != nil || who.Login.String() != tt.login || who.User != "alice") {
			t.Errorf("%q: %+v, %v", tt.login, who, err)
		}
		if !tt.opens && (!isNobody(who) || err != ErrDenied) {
			t.Errorf("%q: %+v, %v; want to be denied", tt.login, who, err)
		}
	}
}

func TestNoPasswordOpensAnUnknownUser(t *testing.T) {
	policy := newPolicy(t)
	policy.kinds[defaultKind()] = hash{defaultKind(), func([]byte) bool { return true }}
	if who, err := policy.Password("nobody", []byte("x")); !isNobody(who) || err != ErrDenied {
		t.Errorf("%+v, %v", who, err)
	}
}

// One connection tries many names: alice first tries as herself, then offers bob's
// key, then names bob with her own password, and then logs in. Whatever came before,
// and whatever others try meanwhile, her identity is alice, with the login that she
// named last.
func TestIdentityIsThatOfTheAttemptThatSucceeded(t *testing.T) {
	alices, bobs := newKey(t), newKey(t)
	policy := newPolicy(t,
		User{Name: "alice", Password: cheapHash("alice"), Keys: []ssh.PublicKey{alices}, Hosts: map[string]Grant{"a": {}, "c": {}}},
		User{Name: "bob", Password: cheapHash("bob"), Keys: []ssh.PublicKey{bobs}, Hosts: map[string]Grant{"b": {}}},
	)
	attack := func(i int) error {
		denied := func(who Identity, err error) error {
			if !isNobody(who) || err != ErrDenied {
				return fmt.Errorf("%+v, %v; want to be denied", who, err)
			}
			return nil
		}
		host := fmt.Sprintf("host%d", i)
		offered, _ := policy.PublicKey("bob+b", bobs, netip.Addr{}) // an offer needs no signature
		err := errors.Join(
			denied(policy.Password("alice+a", []byte("wrong"))),
			denied(policy.Password("bob+b", []byte("pw of alice"))),
			denied(policy.PublicKey("bob+b", alices, netip.Addr{})),
		)
		who, whoErr := policy.Password("alice+"+host, []byte("pw of alice"))
		if whoErr != nil || who.User != "alice" || who.Login != (Login{User: "alice", Host: host}) {
			return errors.Join(err, fmt.Errorf("%+v, %v", who, whoErr))
		}
		_, refusal := enters(policy, who)
		if want := fmt.Sprintf("host %q is not granted to alice; granted: a, c", host); refusal == nil || refusal.Error() != want {
			err = errors.Join(err, fmt.Errorf("target: %v", refusal))
		}
		if offered.User != "bob" {
			err = errors.Join(err, errors.New("a later attempt changed an earlier identity"))
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
		"bad host":     {{Name: "a", Hosts: map[string]Grant{"../x": {}}}},
		"bad account":  {{Name: "a", Hosts: map[string]Grant{"x": GrantAccount("-x")}}},
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

// A person with a DSA key is told that it is too old, not that it is no key.
func TestAKeyOfDSAIsToldAsSuch(t *testing.T) {
	const key = "ssh-dss AAAAB3NzaC1kc3MAAACBAMwoefEUTf8lYrJews32y8Wd7gSkVA+94XTIxLrcLdJSOezMqYYnK6UUHYwoiiCrCA56lui1hQDuqPb9mEFDrVcuBjonnMEXy7FszJ9U1WSo+IiBTmXla524AkVjAXEYtCRhoBI3uIEexpNK8QNKa59SAHBGPbdJE60O+4XTshy1AAAAFQCrXbPSpU2039WRTmzY2vCphMDWJwAAAIA9fRA/pJzd29BWVdlIZJ1LiQZNIV0LX97r0QdD61WCkcwV+3gwEmTDiX2tBtugjNor02+IgeTZap/wGkcRDfo8TLZ4JF1bn5j6MRnRYk0EMFyIOn2KI6JsO/JZ8c0MZpkWy6frLbM2u2JgDt8L0T33dMdpq7kmqCDUeTjNkuCj6gAAAIEAn92Sjf4rQcVpmKX7n5ZbnbdjHKPocogvYf7PRyatEPa03kO1Ehze04X2ILt0/sOkx/IPbr5wPykgsh7e6RknX5d77IovyYzPbj5RAD/daQjKrQw3PmZAFvbLci9Ijb4DMtmQbEzLmHqlUnpyXgdo4vaqkCvOk7pCDHidC2BXr8Q="
	for _, line := range []string{key, key + " dev@laptop", "no-pty " + key, "ssh-dss AAAA"} {
		if _, _, err := parseKeyLine(line); err == nil || !strings.Contains(err.Error(), "ssh-dss") {
			t.Errorf("%.40s…: %v", line, err)
		}
	}
}

// The attack: find out by the time of a denial who is a user. Users with bcrypt were
// denied after 832 ms, all others after 50. Now each attempt computes the same
// hashes, one of each kind that any user has.
func TestEveryNameCostsTheSameHashes(t *testing.T) {
	bcrypted, err := bcrypt.GenerateFromPassword([]byte("pw of old"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	usual, err := HashPassword([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	policy := newPolicy(t, User{Name: "dev", Password: usual}, User{Name: "dev2", Password: usual}, User{Name: "cheap", Password: cheapHash("cheap")},
		User{Name: "old", Password: string(bcrypted)}, User{Name: "keys", Keys: []ssh.PublicKey{newKey(t)}})
	computed := map[kind]int{}
	counting := func(h hash) hash {
		verify := h.verify
		h.verify = func(password []byte) bool {
			computed[h.kind]++
			return verify(password)
		}
		return h
	}
	for kind, dummy := range policy.kinds {
		if dummy.kind != kind {
			t.Errorf("the dummy of %+v is %+v", kind, dummy.kind)
		}
		policy.kinds[kind] = counting(dummy)
	}
	for _, user := range policy.users {
		if user.password.verify != nil {
			user.password = counting(user.password)
		}
	}
	for _, login := range []string{"dev", "old", "cheap", "nobody", "keys", "not a login", "dev+nowhere"} {
		clear(computed)
		_, err := policy.Password(login, []byte("wrong"))
		once := len(computed) == 3 && policy.Kinds() == 3
		for _, times := range computed {
			once = once && times == 1
		}
		if err != ErrDenied || !once {
			t.Errorf("%q: %v, %v", login, computed, err)
		}
	}
	for _, login := range []string{"old", "cheap"} {
		if who, err := policy.Password(login, []byte("pw of "+login)); err != nil || who.User != login {
			t.Errorf("%s: %+v, %v", login, who, err)
		}
	}
}

func TestWhereNobodyHasAPasswordADenialCostsTheUsualHash(t *testing.T) {
	policy := newPolicy(t, User{Name: "keys", Keys: []ssh.PublicKey{newKey(t)}})
	if _, usual := policy.kinds[defaultKind()]; !usual || policy.Kinds() != 1 {
		t.Errorf("kinds: %v", policy.kinds)
	}
}

// isNobody reports whether the identity is empty.
func isNobody(who Identity) bool { return reflect.DeepEqual(who, Identity{}) }
