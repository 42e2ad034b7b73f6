package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestWhatAPolicyChanges(t *testing.T) {
	kept, other, ca := newKey(t), newKey(t), newKey(t)
	before := []User{
		{Name: "dev", Password: cheapHash("dev"), Keys: []ssh.PublicKey{kept}, Hosts: map[string]Grant{"lab": {Line: "f:1"}, "gone": {Line: "f:2"}}},
		{Name: "leaves", Keys: []ssh.PublicKey{other}, Hosts: map[string]Grant{"lab": {}}},
	}
	line, err := ParseAuthorized("no-pty " + lineOf(kept))
	if err != nil {
		t.Fatal(err)
	}
	next := []User{
		{Name: "dev", Password: cheapHash("other"), Authorized: []Authorized{line}, Keys: []ssh.PublicKey{other}, Groups: []Group{{Name: "staff", Hosts: map[string]Grant{"gpu-*": {Line: "f:9"}}}},
			Hosts: map[string]Grant{"lab": {Line: "f:3", Restrictions: Restrictions{NoX11: true}}}},
		{Name: "new", Keys: []ssh.PublicKey{ca}},
	}
	policy := func(users []User, options ...Option) *Policy {
		p, err := NewPolicy(users, options...)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	fingerprint := ssh.FingerprintSHA256
	for _, tt := range []struct {
		name         string
		before, next *Policy
		want         []string
	}{
		{"nothing", policy(before), policy(before), nil},
		{"much", policy(before), policy(next), []string{
			"dev grant gone removed f:2", "dev grant gpu-* by group staff added f:9", "dev grant lab changed f:3", "dev key " + fingerprint(kept) + " changed",
			"dev key " + fingerprint(other) + " added", "dev password changed", "leaves grant lab removed", "leaves key " + fingerprint(other) + " removed",
			"leaves user removed", "new key " + fingerprint(ca) + " added", "new user added",
		}},
		{"everybody's", policy(nil), policy(nil, WithAuthorities(ca), WithRevoked(&Revoked{ids: map[string]bool{"x": true}}), WithRules(Rule{With: steps(t, "key")})),
			[]string{"authority " + fingerprint(ca) + " added", "login changed", "revoked changed"}},
	} {
		var got []string
		for _, c := range Changes(tt.before, tt.next) {
			got = append(got, strings.Join(strings.Fields(fmt.Sprint(c.User, " ", c.What, " ", c.Of, " ", c.How, " ", c.Line)), " "))
		}
		slices.Sort(got)
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
}
