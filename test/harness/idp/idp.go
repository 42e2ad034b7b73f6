// Package idp is an OpenID provider for a test, made with a certified library. Nobody
// has to use its pages: a test approves for its people.
package idp

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/text/language"

	"github.com/berth-ssh/berth/test/harness"
)

// The client that the provider knows.
const (
	Client = "berth"
	Secret = "the-client's-own-4b7d"
)

// Provider is a provider that runs until the test ends.
type Provider struct {
	Issuer string
	CA     string // of its certificate, a file

	Close func() // ends it

	kept *kept
}

// Settings are what differs between providers.
type Settings struct {
	InToken  bool          // claims about a person are in the ID token, not only at the userinfo address
	Lifetime time.Duration // of a code; 0: 5 minutes
}

// Start starts a provider with these people and their groups.
func Start(t *testing.T, s Settings, groups map[string][]string) *Provider {
	t.Helper()
	certificates := harness.MakeCertificates(t)
	address := harness.FreeAddress(t)
	p := &Provider{Issuer: "https://" + address, CA: filepath.Join(certificates, "ca.pem")}
	people := people{}
	for name := range groups {
		people[name] = &storage.User{ID: name, Username: name, Email: name + "@example.org", EmailVerified: true, PreferredLanguage: language.English}
	}
	client := storage.DeviceClient(Client, Secret)
	p.kept = &kept{Storage: storage.NewStorageWithClients(people, map[string]*storage.Client{Client: client}), groups: groups, inToken: s.InToken}
	if s.Lifetime == 0 {
		s.Lifetime = 5 * time.Minute
	}
	config := &op.Config{
		AuthMethodPost:      true,
		SupportedScopes:     []string{"openid", "profile", "email", "groups"},
		DeviceAuthorization: op.DeviceAuthorizationConfig{Lifetime: s.Lifetime, PollInterval: time.Second, UserFormPath: "/device", UserCode: op.UserCodeBase20},
	}
	rand.Read(config.CryptoKey[:])
	provider, err := op.NewProvider(config, p.kept, op.StaticIssuer(p.Issuer))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: provider}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.ServeTLS(listener, filepath.Join(certificates, "server.pem"), filepath.Join(certificates, "server-key.pem"))
	}()
	p.Close = func() {
		server.Close()
		<-served
	}
	t.Cleanup(p.Close)
	return p
}

// Approve approves a code in a person's name.
func (p *Provider) Approve(t *testing.T, code, name string) {
	t.Helper()
	if err := p.kept.CompleteDeviceAuthorization(t.Context(), code, name); err != nil {
		t.Fatalf("code %q: %v", code, err)
	}
}

// Deny refuses a code.
func (p *Provider) Deny(t *testing.T, code string) {
	t.Helper()
	if err := p.kept.DenyDeviceAuthorization(t.Context(), code); err != nil {
		t.Fatalf("code %q: %v", code, err)
	}
}

// Asked returns how many codes were requested.
func (p *Provider) Asked() int {
	p.kept.mu.Lock()
	defer p.kept.mu.Unlock()
	return p.kept.asked
}

// Polled returns how often the answer to a code was asked for.
func (p *Provider) Polled() int {
	p.kept.mu.Lock()
	defer p.kept.mu.Unlock()
	return p.kept.polled
}

// people are by their names.
type people map[string]*storage.User

func (p people) GetUserByID(id string) *storage.User         { return p[id] }
func (p people) GetUserByUsername(name string) *storage.User { return p[name] }
func (p people) ExampleClientID() string                     { return "none" }

// kept is the provider's store.
type kept struct {
	*storage.Storage
	groups  map[string][]string
	inToken bool

	mu            sync.Mutex
	asked, polled int
}

func (k *kept) StoreDeviceAuthorization(ctx context.Context, client, device, user string, expires time.Time, scopes []string) error {
	k.mu.Lock()
	k.asked++
	k.mu.Unlock()
	return k.Storage.StoreDeviceAuthorization(ctx, client, device, user, expires, scopes)
}

func (k *kept) GetDeviceAuthorizatonState(ctx context.Context, client, device string) (*op.DeviceAuthorizationState, error) {
	k.mu.Lock()
	k.polled++
	k.mu.Unlock()
	return k.Storage.GetDeviceAuthorizatonState(ctx, client, device)
}

func (k *kept) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, token op.IDTokenRequest, scopes []string) error {
	if err := k.Storage.SetUserinfoFromRequest(ctx, info, token, scopes); err != nil {
		return err
	}
	if k.inToken {
		info.AppendClaims("groups", k.groups[token.GetSubject()])
	}
	return nil
}

func (k *kept) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, id, subject, origin string) error {
	if err := k.Storage.SetUserinfoFromToken(ctx, info, id, subject, origin); err != nil {
		return err
	}
	info.AppendClaims("groups", k.groups[info.Subject])
	return nil
}

func (k *kept) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	client, err := k.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return telling{client, k.inToken}, nil
}

// telling is a client that decides whether the ID token has the claims about a
// person.
type telling struct {
	op.Client
	inToken bool
}

func (c telling) IDTokenUserinfoClaimsAssertion() bool { return c.inToken }
