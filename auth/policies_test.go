package auth

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// A person who logged in a moment before a change may enter nothing with what the
// change took away: the key, the password, the grant, or the user.
func TestWhatAChangeTookAwayOpensNothing(t *testing.T) {
	lost, kept := newKey(t), newKey(t)
	lab := map[string]Grant{"lab": {}}
	before := newPolicy(t, User{Name: "dev", Password: cheapHash("dev"), Keys: []ssh.PublicKey{lost, kept}, Hosts: lab})
	identify := func(who Identity, err error) Identity {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := enters(before, who); err != nil {
			t.Errorf("before the change: %v", err)
		}
		return who
	}
	byLost := identify(before.PublicKey("dev", lost, netip.Addr{}))
	byKept := identify(before.PublicKey("dev", kept, netip.Addr{}))
	byPassword := identify(before.Password("dev", []byte("pw of dev")))

	keyTaken := newPolicy(t, User{Name: "dev", Keys: []ssh.PublicKey{kept}, Hosts: lab})
	if _, err := enters(keyTaken, byKept); err != nil {
		t.Errorf("the key that stays: %v", err)
	}
	for name, tt := range map[string]struct {
		after *Policy
		who   Identity
	}{
		"the key":       {keyTaken, byLost},
		"the password":  {keyTaken, byPassword},
		"this password": {newPolicy(t, User{Name: "dev", Password: cheapHash("another"), Hosts: lab}), byPassword},
		"the grant":     {newPolicy(t, User{Name: "dev", Keys: []ssh.PublicKey{kept}}), byKept},
		"the user":      {newPolicy(t, User{Name: "eve", Keys: []ssh.PublicKey{kept}, Hosts: lab}), byKept},
		"no method":     {before, Identity{User: "dev", Login: Login{User: "dev"}}},
	} {
		if target, err := enters(tt.after, tt.who); err == nil {
			t.Errorf("%s: enters %+v", name, target)
		}
	}
}

// No login is decided half by one policy and half by the next.
func TestPoliciesAreExchangedWhole(t *testing.T) {
	key := newKey(t)
	var policies [2]*Policy
	for i := range policies {
		name := fmt.Sprintf("user%d", i)
		policies[i] = newPolicy(t, User{Name: name, Keys: []ssh.PublicKey{key}, Hosts: map[string]Grant{"of-" + name: {}}})
	}
	inForce := NewPolicies(policies[0])
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 2000 {
				policy, name := inForce.Current(), fmt.Sprintf("user%d", i%2)
				who, err := policy.PublicKey(name, key, netip.Addr{})
				if err != nil {
					continue // the other policy is in force
				}
				if target, err := enters(policy, who); err != nil || target.Host.Name != "of-"+name {
					t.Errorf("%s enters %+v, %v", name, target, err)
				}
			}
		})
	}
	for i := range 2000 {
		inForce.Replace(policies[i%2])
	}
	wg.Wait()
}

// A later change of the users that a policy was made of does not change the policy.
func TestAPolicySharesNoMemoryWithItsUsers(t *testing.T) {
	hosts := map[string]Grant{"lab": {Accounts: []string{"developer"}}}
	policy := newPolicy(t, User{Name: "dev", Password: cheapHash("dev"), Hosts: hosts})
	hosts["lab"].Accounts[0] = "root"
	hosts["vault"] = Grant{}
	who := Identity{User: "dev", Login: Login{User: "dev"}, Method: ByPassword, Credential: policy.users["dev"].shown}
	if target, err := enters(policy, who); err != nil || target.Host.Name != "lab" || target.Account != "developer" {
		t.Errorf("enters %+v, %v", target, err)
	}
}
