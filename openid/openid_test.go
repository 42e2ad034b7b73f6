package openid

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/idp"
)

// at is a provider as a configuration has it.
func at(t *testing.T, p *idp.Provider, change ...func(*Settings)) *Provider {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	harness.Write(t, secret, 0o600, idp.Secret+"\n")
	settings := Settings{
		Issuer: p.Issuer, CA: p.CA, Client: idp.Client, SecretFile: secret,
		Scopes: []string{"openid", "profile", "email", "groups"}, Claim: "preferred_username", Groups: "groups", Remember: time.Hour,
	}
	for _, change := range change {
		change(&settings)
	}
	return New(settings, t.TempDir())
}

func TestWhoApproves(t *testing.T) {
	for _, inToken := range []bool{true, false} {
		p := idp.Start(t, idp.Settings{InToken: inToken}, map[string][]string{"olga": {"students", "staff"}})
		for claim, want := range map[string]string{"preferred_username": "olga [students staff]", "email": "olga@example.org [students staff]", "sub": "olga [students staff]"} {
			page, code, wait, err := at(t, p, func(s *Settings) { s.Claim = claim }).Ask(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if page != p.Issuer+"/device?user_code="+code {
				t.Errorf("approved at %s", page)
			}
			p.Approve(t, code, "olga")
			person, err := wait(t.Context())
			if got := fmt.Sprint(person.Name, " ", person.Groups); err != nil || got != want {
				t.Errorf("by %s, in the token %v: %s, %v", claim, inToken, got, err)
			}
		}
	}
}

func TestWhoDoesNotApprove(t *testing.T) {
	p := idp.Start(t, idp.Settings{Lifetime: 3 * time.Second}, map[string][]string{"olga": nil})
	ask := func() (code string, wait func(context.Context) (auth.Person, error)) {
		_, code, wait, err := at(t, p).Ask(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return code, wait
	}
	code, wait := ask()
	p.Deny(t, code)
	if _, err := wait(t.Context()); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("refused: %v", err)
	}
	_, wait = ask()
	if _, err := wait(t.Context()); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("too late: %v", err)
	}
	_, wait = ask()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := p.Polled()
	if _, err := wait(ctx); err == nil || p.Polled() != before {
		t.Errorf("nobody waits any more: %v, and it was asked %d times", err, p.Polled()-before)
	}
}

// The attack: stand in for the provider, or hand on what another one said, or what it
// said to another client.
func TestWhatIsNotTheProvidersIsNotBelieved(t *testing.T) {
	p := idp.Start(t, idp.Settings{}, map[string][]string{"olga": nil})
	for name, change := range map[string]func(*Settings){
		"another authority": func(s *Settings) { s.CA = filepath.Join(harness.MakeCertificates(t), "ca.pem") },
		"another issuer":    func(s *Settings) { s.Issuer += "/" },
		"another secret":    func(s *Settings) { harness.Write(t, s.SecretFile, 0o600, "another\n") },
		"another client":    func(s *Settings) { s.Client = "other" },
		"without TLS":       func(s *Settings) { s.Issuer = strings.Replace(s.Issuer, "https", "http", 1) },
	} {
		_, code, _, err := at(t, p, change).Ask(t.Context())
		if err == nil || errors.Is(err, auth.ErrDenied) {
			t.Errorf("%s: code %q, %v", name, code, err)
		}
		if err != nil && strings.Contains(err.Error(), idp.Secret) {
			t.Errorf("%s: the secret is told", name)
		}
	}
}

// The attack: have people approve with an address that somebody else may claim.
func TestAnAddressCountsWhenItIsVerified(t *testing.T) {
	settings := Settings{Claim: "email", Groups: "groups"}
	for _, tt := range []struct {
		claims map[string]any
		want   string
	}{
		{map[string]any{"email": "olga@example.org", "email_verified": true}, "olga@example.org []"},
		{map[string]any{"email": "olga@example.org"}, ""},
		{map[string]any{"email": "olga@example.org", "email_verified": "true"}, ""},
		{map[string]any{"email": 7, "email_verified": true}, ""},
		{map[string]any{"email": "o@x", "email_verified": true, "groups": "one"}, "o@x [one]"},
		{map[string]any{"email": "o@x", "email_verified": true, "groups": []any{"one", 2, "three"}}, "o@x [one three]"},
	} {
		person, err := settings.person(tt.claims)
		if got := fmt.Sprint(person.Name, " ", person.Groups); err == nil && got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%v: %s, %v", tt.claims, got, err)
		}
	}
}

// What the provider says when it says no is logged up to a length.
func TestAProviderThatTalks(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(500)
		fmt.Fprint(w, strings.Repeat("hunter2 ", 1000))
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	harness.Write(t, ca, 0o600, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	p := New(Settings{Issuer: server.URL, CA: ca, Client: "x"}, t.TempDir())
	if _, _, _, err := p.Ask(t.Context()); err == nil || !strings.Contains(err.Error(), "500 Internal Server Error") || len(err.Error()) > 400 {
		t.Errorf("%v", err)
	}
}

func TestApprovalsAreRememberedForAKeyAndATime(t *testing.T) {
	s := storeIn(t.TempDir(), time.Hour)
	now := time.Unix(1_900_000_000, 0)
	s.now = func() time.Time { return now }
	olga := auth.Person{Name: "o.smith", Groups: []string{"students"}}
	if err := s.Remember("olga", "SHA256:one", olga); err != nil {
		t.Fatal(err)
	}
	has := func(user, key string) bool { _, ok := s.Remembered(user, key); return ok }
	if person, ok := s.Remembered("olga", "SHA256:one"); !ok || person.Name != "o.smith" || len(person.Groups) != 1 {
		t.Errorf("%+v, %v", person, ok)
	}
	if has("olga", "SHA256:two") || has("bert", "SHA256:one") || has("../olga", "SHA256:two") {
		t.Error("another key, or another user")
	}
	now = now.Add(30 * time.Minute)
	if err := s.Remember("olga", "SHA256:two", olga); err != nil || !has("olga", "SHA256:one") {
		t.Errorf("another key made the first one forgotten: %v", err)
	}
	now = now.Add(30 * time.Minute)
	if has("olga", "SHA256:one") || !has("olga", "SHA256:two") {
		t.Error("for another time")
	}
	now = now.Add(-2 * time.Hour)
	if has("olga", "SHA256:two") {
		t.Error("from the future")
	}
	info, err := os.Stat(s.file("olga"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	never := storeIn(t.TempDir(), 0)
	if err := never.Remember("olga", "SHA256:one", olga); err != nil {
		t.Error(err)
	}
	if _, ok := never.Remembered("olga", "SHA256:one"); ok {
		t.Error("remembered, though nobody wants that")
	}
}
