package messages

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/keeper"
)

func certificate(t testing.TB) *ssh.Certificate {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	c := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, KeyId: "dev", Serial: 7, ValidPrincipals: []string{"dev"}, ValidBefore: ssh.CertTimeInfinity}
	if err := c.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	return c
}

// Who somebody is, and what the credential forbids, is the same in both processes:
// every field of an identity, whichever there will be.
func TestAnIdentityIsTheSameInBothProcesses(t *testing.T) {
	who := auth.Identity{
		User: "dev", Login: auth.Login{User: "dev", Host: "lab", Account: "root"}, Method: auth.ByCode, Credential: "c", Service: auth.LDAP, Groups: []string{"g"},
		From: netip.MustParseAddr("2001:db8::1"), Certificate: certificate(t), Restrictions: &auth.Restrictions{NoPty: true, Commands: []string{}, Open: []auth.Destination{{Host: "*", Port: 80}}},
		NoTouch: true, Proof: "kept here", Before: &auth.Identity{User: "dev", Method: auth.ByPublicKey, Certificate: certificate(t)},
	}
	for i, value := 0, reflect.ValueOf(who); i < value.NumField(); i++ {
		if value.Field(i).IsZero() {
			t.Errorf("%s is not tried here", value.Type().Field(i).Name)
		}
	}
	encoded, err := EncodeIdentity(who)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeIdentity(encoded)
	if err != nil {
		t.Fatal(err)
	}
	want := who
	want.Proof = "" // nobody's but the process's that has it
	if again, err := EncodeIdentity(got); err != nil || string(again) != string(encoded) || got.Proof != "" {
		t.Errorf("%s, then %s, %v", encoded, again, err)
	}
	if got.User != want.User || got.From != want.From || !reflect.DeepEqual(got.Restrictions, want.Restrictions) || got.Before.Certificate.Serial != 7 || !reflect.DeepEqual(got.Groups, want.Groups) {
		t.Errorf("%+v", got)
	}
}

// A grant that restricts nothing, and one that allows nothing of a kind, stay what they
// are: an empty list is not the absence of one.
func TestAnEmptyListIsNotNone(t *testing.T) {
	for _, restrictions := range []*auth.Restrictions{nil, {}, {Commands: []string{}}, {Open: []auth.Destination{}, Listen: []auth.Destination{}}} {
		encoded, err := EncodeIdentity(auth.Identity{Restrictions: restrictions})
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeIdentity(encoded)
		if err != nil || !reflect.DeepEqual(got.Restrictions, restrictions) {
			t.Errorf("%+v: %+v, %v", restrictions, got.Restrictions, err)
		}
	}
}

func TestAFailureIsTheSameInBothProcesses(t *testing.T) {
	details := func(context.Context) string { return "more" }
	keep := func(kept func(context.Context) string) uint64 {
		if kept(t.Context()) != "more" {
			t.Error("something else is kept")
		}
		return 7
	}
	ask := func(_ context.Context, number uint64) string {
		if number != 7 {
			t.Errorf("asked by %d", number)
		}
		return "more"
	}
	for _, err := range []error{
		nil, auth.ErrDenied, auth.Refused("no"), errors.New("other"), &keeper.NoAnswer{Service: auth.LDAP, Err: errors.New("down")},
		&hosts.Unreachable{Host: "lab", Why: "is not running", Cause: errors.New("exited"), Box: "b", Unknown: true, Silent: "box b does not answer", Patience: time.Second, Details: details},
		&hosts.Unreachable{Host: "lab", Why: "is gone"},
	} {
		got := FailureOf(err, keep).Err(ask)
		if (got == nil) != (err == nil) {
			t.Errorf("%v: %v", err, got)
		}
		if err == nil {
			continue
		}
		if got.Error() != err.Error() || reflect.TypeOf(got) != reflect.TypeOf(err) || errors.Is(got, auth.ErrDenied) != errors.Is(err, auth.ErrDenied) {
			t.Errorf("%T %v: %T %v", err, err, got, got)
		}
		was, is := hosts.AsUnreachable(err), hosts.AsUnreachable(got)
		if was == nil {
			continue
		}
		if was.Unknown != is.Unknown || was.Silent != is.Silent || was.Patience != is.Patience || was.Box != is.Box || (was.Cause == nil) != (is.Cause == nil) || (was.Details == nil) != (is.Details == nil) {
			t.Errorf("%+v: %+v", was, is)
		}
		if is.Details != nil && is.Details(t.Context()) != "more" {
			t.Error("its details are lost")
		}
	}
}
