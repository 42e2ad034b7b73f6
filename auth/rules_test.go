package auth

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func steps(t testing.TB, texts ...string) []Steps {
	t.Helper()
	var all []Steps
	for _, text := range texts {
		parsed, err := ParseSteps(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, parsed)
	}
	return all
}

func step(method Method, login string) Identity {
	l, _ := ParseLogin(login)
	return Identity{User: l.User, Login: l, Method: method}
}

func TestWhatComesAfterAStep(t *testing.T) {
	key, password, code := ByPublicKey, ByPassword, ByCode
	for _, tt := range []struct {
		with   []string // nil for no rule
		proved []Method
		next   []Method
		denied bool
	}{
		{nil, []Method{key}, nil, false},
		{nil, []Method{password}, nil, false},
		{nil, []Method{code}, nil, true},
		{[]string{"key"}, []Method{password}, nil, true},
		{[]string{"key+totp"}, []Method{key}, []Method{code}, false},
		{[]string{"key+totp"}, []Method{key, code}, nil, false},
		{[]string{"key+totp"}, []Method{password}, nil, true},
		{[]string{"key+totp"}, []Method{code}, nil, true},
		{[]string{"key+totp", "password+totp"}, []Method{password}, []Method{code}, false},
		{[]string{"key+password"}, []Method{key}, []Method{password}, false},
		{[]string{"key+password"}, []Method{password}, []Method{key}, false},
		{[]string{"key+password"}, []Method{password, key}, nil, false},
		{[]string{"key+password"}, []Method{key, key}, []Method{password}, false}, // two keys are one step
		{[]string{"key+password+totp"}, []Method{key}, []Method{password}, false}, // the code comes last
		{[]string{"key+password+totp"}, []Method{key, password}, []Method{code}, false},
		{[]string{"key+password", "key+totp"}, []Method{key}, []Method{code, password}, false},
		{[]string{"key", "key+totp"}, []Method{key}, nil, false},
	} {
		policy := newPolicy(t, User{Name: "dev"})
		if tt.with != nil {
			policy.rules = []Rule{{With: steps(t, tt.with...)}}
		}
		var before *Identity
		var next []Method
		var err error
		for _, method := range tt.proved {
			var who Identity
			if who, next, err = policy.After(before, step(method, "dev")); err == nil {
				before = &who
			}
		}
		if (err == ErrDenied) != tt.denied || !slices.Equal(next, tt.next) {
			t.Errorf("%v, proved %v: next %v, %v", tt.with, tt.proved, next, err)
		}
	}
}

func TestTheFirstRuleThatFitsDecides(t *testing.T) {
	office, err := ParseSources("192.0.2.0/24")
	if err != nil {
		t.Fatal(err)
	}
	policy := newPolicyWith(t, WithRules(
		Rule{From: office, With: steps(t, "key")},
		Rule{Users: Names{"dev"}, With: steps(t, "key+totp")},
	))
	for _, tt := range []struct {
		user, from string
		next       int
	}{{"dev", "192.0.2.1", 0}, {"dev", "198.51.100.1", 1}, {"dev", "", 1}, {"other", "198.51.100.1", 0}} {
		who := step(ByPublicKey, tt.user)
		who.From, _ = netip.ParseAddr(tt.from)
		if _, next, err := policy.After(nil, who); err != nil || len(next) != tt.next {
			t.Errorf("%+v: %v, %v", tt, next, err)
		}
	}
	if !policy.Asks("dev", ByCode) || policy.Asks("other", ByCode) || policy.Asks("nobody", ByCode) {
		t.Error("who may be asked for a code?")
	}
}

// The attack: prove the first step as oneself and the second one as another user,
// whose second factor one has, or the other way round.
func TestEachStepIsProvedByTheSamePerson(t *testing.T) {
	policy := newPolicyWith(t, WithRules(Rule{With: steps(t, "key+password")}))
	first := step(ByPublicKey, "dev+lab")
	for _, login := range []string{"other+lab", "other", "dev+vault", "dev", "dev+root@lab", ""} {
		if who, next, err := policy.After(&first, step(ByPassword, login)); err != ErrDenied || !isNobody(who) || next != nil {
			t.Errorf("%s: %+v, %v, %v", login, who, next, err)
		}
	}
	moved := step(ByPassword, "dev+lab")
	moved.From = netip.MustParseAddr("192.0.2.1")
	if _, _, err := policy.After(&first, moved); err != ErrDenied {
		t.Error("from two places at once")
	}
	if _, next, err := policy.After(&first, step(ByPassword, "dev+lab")); err != nil || len(next) > 0 {
		t.Errorf("the same person: %v, %v", next, err)
	}
}

// The restrictions of a key stay when a password follows it.
func TestALaterStepPermitsNoMore(t *testing.T) {
	policy := newPolicyWith(t, WithRules(Rule{With: steps(t, "key+password")}))
	key := step(ByPublicKey, "dev")
	key.Restrictions = &Restrictions{NoPty: true}
	for _, order := range [][2]Identity{{key, step(ByPassword, "dev")}, {step(ByPassword, "dev"), key}} {
		who, _, err := policy.After(&order[0], order[1])
		if err != nil || !who.Restrictions.NoPty {
			t.Errorf("%s first: %+v, %v", order[0].Method, who.Restrictions, err)
		}
	}
}

// A person who logged in by two steps must leave when either credential is taken
// away.
func TestEachStepMustStillOpen(t *testing.T) {
	key := newKey(t)
	user := User{Name: "dev", Password: cheapHash("dev"), Hosts: map[string]Grant{"lab": {}}}
	without := newPolicy(t, user)
	user.Authorized = []Authorized{{Key: key}}
	with, err := NewPolicy([]User{user}, WithRules(Rule{With: steps(t, "key+password")}))
	if err != nil {
		t.Fatal(err)
	}
	first, err := with.PublicKey("dev", key, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := with.Password("dev", []byte("pw of dev"))
	if err != nil {
		t.Fatal(err)
	}
	who, _, err := with.After(&first, second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := with.Target(who, Host{Name: "lab"}); err != nil {
		t.Error(err)
	}
	if _, err := without.Target(who, Host{Name: "lab"}); err == nil {
		t.Error("goes on without the key")
	}
}

func TestParseSteps(t *testing.T) {
	for text, why := range map[string]string{
		"totp": "totp alone", "": "not the steps", "key+": "not the steps", "key+key": "not the steps", "sms": "not the steps", "key, totp": "not the steps",
	} {
		if _, err := ParseSteps(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A connection goes on as long as the line of its key or authority allows as much as
// at the login. A line that has only expired since is no reason to end it: sshd cuts
// nobody for that, either.
func TestWhoIsThereGoesOnByALineThatForbidsNoMore(t *testing.T) {
	key, ca := newKey(t), newTestSigner(t)
	cert := signed(t, ca, nil)
	from := netip.MustParseAddr("192.0.2.7")
	for _, tt := range []struct {
		came, now string
		goesOn    bool
	}{
		{"", "", true},
		{"no-pty", "", true},
		{"", "no-pty", false},
		{"no-pty", "restrict", false},
		{`permitopen="a:1"`, `permitopen="*:1",permitopen="b:2"`, true},
		{`permitopen="a:1",permitopen="b:2"`, `permitopen="a:1"`, false},
		{`command="ls"`, `command="ls"`, true},
		{`command="ls"`, `command="id"`, false},
		{"", `from="192.0.2.0/24"`, true},
		{"", `from="198.51.100.0/24"`, false},
		{"", `expiry-time="20200101"`, true},
	} {
		for _, shown := range []struct {
			key      ssh.PublicKey
			line, as string
		}{{key, lineOf(key), ""}, {cert, lineOf(ca.PublicKey()), "cert-authority,"}} {
			policyBy := func(options string) *Policy {
				line, err := ParseAuthorized(strings.TrimSuffix(shown.as+options, ",") + " " + shown.line)
				if err != nil {
					t.Fatal(err)
				}
				return newPolicy(t, User{Name: "dev", Authorized: []Authorized{line}, Hosts: map[string]Grant{"lab": {}}})
			}
			who, err := policyBy(tt.came).PublicKey("dev", shown.key, from)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := policyBy(tt.now).CurrentGrant(who, Host{Name: "lab"}, ""); (err == nil) != tt.goesOn {
				t.Errorf("%q, now %q: %v", shown.as+tt.came, tt.now, err)
			}
		}
	}
}
