package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestPasswordWaitsNoLongerThanItsContext(t *testing.T) {
	policies := NewPolicies(newPolicy(t))
	for range cap(policies.hashing) {
		policies.hashing <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := policies.Password(ctx, "dev", []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// A password that waited through a change is judged by what holds afterwards.
func TestAPasswordIsJudgedByThePolicyInForceAtItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policies := NewPolicies(newPolicy(t, User{Name: "dev", Password: cheapHash("dev")}))
		for range cap(policies.hashing) {
			policies.hashing <- struct{}{}
		}
		answered := make(chan error, 1)
		go func() {
			_, err := policies.Password(t.Context(), "dev", []byte("pw of dev"))
			answered <- err
		}()
		synctest.Wait() // it waits for its turn
		policies.Exchange(newPolicy(t))
		<-policies.hashing
		if err := <-answered; err != ErrDenied {
			t.Errorf("%v", err)
		}
	})
}

// Who logged in a moment before a change enters nothing by what the change took
// away: the key, the password, the grant, or the user.
func TestWhatAChangeTookAwayOpensNothing(t *testing.T) {
	lost, kept := newKey(t), newKey(t)
	lab := map[string]Grant{"lab": {}}
	before := newPolicy(t, User{Name: "dev", Password: cheapHash("dev"), Keys: []ssh.PublicKey{lost, kept}, Hosts: lab})
	identify := func(who Identity, err error) Identity {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := before.Target(who); err != nil {
			t.Errorf("before the change: %v", err)
		}
		return who
	}
	byLost := identify(before.PublicKey("dev", lost, netip.Addr{}))
	byKept := identify(before.PublicKey("dev", kept, netip.Addr{}))
	byPassword := identify(before.Password("dev", []byte("pw of dev")))

	keyTaken := newPolicy(t, User{Name: "dev", Keys: []ssh.PublicKey{kept}, Hosts: lab})
	if _, err := keyTaken.Target(byKept); err != nil {
		t.Errorf("the key that stays: %v", err)
	}
	for name, tt := range map[string]struct {
		after *Policy
		who   Identity
	}{
		"the key":      {keyTaken, byLost},
		"the password": {keyTaken, byPassword},
		"the grant":    {newPolicy(t, User{Name: "dev", Keys: []ssh.PublicKey{kept}}), byKept},
		"the user":     {newPolicy(t, User{Name: "eve", Keys: []ssh.PublicKey{kept}, Hosts: lab}), byKept},
		"no method":    {before, Identity{User: "dev", Login: Login{User: "dev"}}},
	} {
		if target, err := tt.after.Target(tt.who); err == nil {
			t.Errorf("%s: enters %+v", name, target)
		}
	}
}

// A snapshot is whole: no login is decided half by one policy and half by the
// next.
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
					continue // the other one is in force
				}
				if target, err := policy.Target(who); err != nil || target.Host != "of-"+name {
					t.Errorf("%s enters %+v, %v", name, target, err)
				}
			}
		})
	}
	for i := range 2000 {
		inForce.Exchange(policies[i%2])
	}
	wg.Wait()
}

// Whoever made the users may change them afterwards: the policy does not.
func TestAPolicySharesNoMemoryWithItsUsers(t *testing.T) {
	hosts := map[string]Grant{"lab": {Accounts: []string{"developer"}}}
	policy := newPolicy(t, User{Name: "dev", Password: cheapHash("dev"), Hosts: hosts})
	hosts["lab"].Accounts[0] = "root"
	hosts["vault"] = Grant{}
	who := Identity{User: "dev", Login: Login{User: "dev"}, Method: ByPassword}
	if target, err := policy.Target(who); err != nil || target != (Target{"lab", "developer"}) {
		t.Errorf("enters %+v, %v", target, err)
	}
}
