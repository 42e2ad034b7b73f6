package openid

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/berth-ssh/berth/auth"
)

const (
	// patience is how long the provider may take for one answer.
	patience = 10 * time.Second

	maxAnswer    = 1 << 20 // bytes
	maxShown     = 200     // runes of it that are logged
	maxRedirects = 3
)

// Settings say who the provider is, and what it says of people.
type Settings struct {
	Issuer     string // https://…, exactly as the provider names itself
	CA         string // a file with the certificates that are trusted; "": the system's
	Client     string // the id by which the provider knows this gateway
	SecretFile string // of the client; "": it is a public one
	Scopes     []string

	Claim  string // that has the name of a person
	Groups string // the claim with the groups; "": none

	Remember time.Duration // how long an approval is remembered for a key; 0: not at all
}

// Provider asks people for approvals. It is safe for use by many at once.
type Provider struct {
	settings Settings
	store

	mu    sync.Mutex
	known *known // nil until the provider has answered once
}

// known is what a provider has said of itself.
type known struct {
	config   oauth2.Config
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
}

// New makes a provider of settings that were checked, which keeps approvals in a
// state directory. It asks nothing yet.
func New(settings Settings, stateDir string) *Provider {
	return &Provider{settings: settings, store: storeIn(stateDir, settings.Remember)}
}

// Check reports whether the provider answers, and can be asked for approvals.
func (p *Provider) Check(ctx context.Context) error {
	_, _, err := p.discover(ctx)
	return err
}

// Ask asks the provider for an approval. At page, a person approves the code. Wait
// waits until then, and returns who it was; or [auth.ErrDenied], if the person refused
// or took too long. Any other error is that the provider gave no answer that can be
// believed.
func (p *Provider) Ask(ctx context.Context) (page, code string, wait func(context.Context) (auth.Person, error), err error) {
	asked, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	k, client, err := p.discover(asked)
	if err != nil {
		return "", "", nil, err
	}
	device, err := k.config.DeviceAuth(oidc.ClientContext(asked, client), k.secret()...)
	if err != nil {
		return "", "", nil, fmt.Errorf("the provider gives no code: %w", withoutBody(err))
	}
	return cmp.Or(device.VerificationURIComplete, device.VerificationURI), device.UserCode, func(ctx context.Context) (auth.Person, error) {
		return p.wait(oidc.ClientContext(ctx, client), k, device)
	}, nil
}

// secret is what is asked with, where the secret is not in a header.
func (k known) secret() []oauth2.AuthCodeOption {
	if k.config.ClientSecret == "" || k.config.Endpoint.AuthStyle == oauth2.AuthStyleInHeader {
		return nil
	}
	return []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("client_secret", k.config.ClientSecret)}
}

// wait polls as the provider wants it (RFC 8628, section 3.5).
func (p *Provider) wait(ctx context.Context, k known, device *oauth2.DeviceAuthResponse) (auth.Person, error) {
	token, err := k.config.DeviceAccessToken(ctx, device)
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && (refused.ErrorCode == "access_denied" || refused.ErrorCode == "expired_token") {
		return auth.Person{}, auth.ErrDenied
	}
	if errors.Is(err, context.DeadlineExceeded) && !device.Expiry.IsZero() && !time.Now().Before(device.Expiry) {
		return auth.Person{}, auth.ErrDenied
	}
	if err != nil {
		return auth.Person{}, withoutBody(err)
	}
	claims, err := p.claims(ctx, k, token)
	if err != nil {
		return auth.Person{}, err
	}
	return p.settings.person(claims)
}

// claims returns the claims of the ID token. Missing ones are requested from the
// provider's userinfo address (OpenID Connect Core, section 5.3), and count only if
// they are about the same person.
func (p *Provider) claims(ctx context.Context, k known, token *oauth2.Token) (map[string]any, error) {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, errors.New("the provider gives no ID token; it must, for the scope openid")
	}
	id, err := k.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	var claims, more map[string]any
	if err := id.Claims(&claims); err != nil {
		return nil, err
	}
	lacks := func(claim string) bool { return claim != "" && claims[claim] == nil }
	if !lacks(p.settings.Claim) && !lacks(p.settings.Groups) || k.provider.UserInfoEndpoint() == "" {
		return claims, nil
	}
	info, err := k.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, fmt.Errorf("the provider does not tell of the person: %w", err)
	}
	if info.Subject != id.Subject {
		return nil, errors.New("the provider tells of another person than the ID token")
	}
	if err := info.Claims(&more); err != nil {
		return nil, err
	}
	maps.Copy(more, claims)
	return more, nil
}

// person returns the person whom the claims are about.
func (s Settings) person(claims map[string]any) (auth.Person, error) {
	name, _ := claims[s.Claim].(string)
	if name == "" {
		return auth.Person{}, fmt.Errorf("the ID token has no claim %s; ask for the scope that gives it, or name another claim", s.Claim)
	}
	if s.Claim == "email" && claims["email_verified"] != true {
		return auth.Person{}, fmt.Errorf("the provider has not verified the address of %q", name)
	}
	person := auth.Person{Name: name}
	switch groups := claims[s.Groups].(type) {
	case string:
		person.Groups = []string{groups}
	case []any:
		for _, group := range groups {
			if group, ok := group.(string); ok {
				person.Groups = append(person.Groups, group)
			}
		}
	}
	return person, nil
}

// withoutBody returns the error without the provider's answer, except for the error
// code: the answer may be long, and may come from somebody who impersonates the
// provider.
func withoutBody(err error) error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return err
	}
	return fmt.Errorf("the provider answers %s %.60q", refused.Response.Status, strings.TrimSpace(refused.ErrorCode))
}
