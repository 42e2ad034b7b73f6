package openid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/berth-ssh/berth/printable"
	"github.com/berth-ssh/berth/trust"
)

// discover asks the provider for its addresses and keys, once. The client that it
// returns shows the gateway's secret where that is asked for.
func (p *Provider) discover(ctx context.Context) (known, *http.Client, error) {
	secret := ""
	if p.settings.SecretFile != "" {
		var err error
		if secret, err = trust.Secret(p.settings.SecretFile); err != nil {
			return known{}, nil, err
		}
	}
	client, err := p.settings.client()
	if err != nil {
		return known{}, nil, err
	}
	p.mu.Lock()
	found := p.known
	p.mu.Unlock()
	if found == nil { // several may ask at once, which does no harm
		if found, err = p.settings.ask(oidc.ClientContext(ctx, client)); err != nil {
			return known{}, nil, err
		}
		p.mu.Lock()
		p.known = found
		p.mu.Unlock()
	}
	with := *found
	with.config.ClientSecret = secret
	if secret == "" {
		with.config.Endpoint.AuthStyle = oauth2.AuthStyleInParams // its id alone
	}
	return with, authenticating(client, with.config), nil
}

// ask asks a provider what it is (OpenID Connect Discovery).
func (s Settings) ask(ctx context.Context) (*known, error) {
	provider, err := oidc.NewProvider(ctx, s.Issuer)
	if err != nil {
		return nil, fmt.Errorf("the provider does not say what it is: %s", printable.Line(err.Error(), maxShown)) // it has all of the answer
	}
	endpoint := provider.Endpoint()
	if endpoint.DeviceAuthURL == "" {
		return nil, errors.New("the provider has no device authorization endpoint (RFC 8628)")
	}
	var says struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"` // none: client_secret_basic
	}
	if err := provider.Claims(&says); err != nil {
		return nil, err
	}
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if says.Methods != nil && !slices.Contains(says.Methods, "client_secret_basic") {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &known{
		config:   oauth2.Config{ClientID: s.Client, Endpoint: endpoint, Scopes: s.Scopes},
		provider: provider,
		verifier: provider.Verifier(&oidc.Config{ClientID: s.Client}),
	}, nil
}

// client speaks to the provider by TLS alone.
func (s Settings) client() (*http.Client, error) {
	config, err := trust.TLS(s.CA)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Timeout:   patience,
		Transport: bounded{&http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errors.New("it leads from one address to another without end")
			}
			return nil
		},
	}, nil
}

// bounded asks addresses of https alone, and reads answers up to a length.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" {
		return nil, errors.New("the provider leads to an address without TLS")
	}
	response, err := b.RoundTripper.RoundTrip(request)
	if err == nil {
		response.Body = limited{io.LimitReader(response.Body, maxAnswer), response.Body}
	}
	return response, err
}

type limited struct {
	io.Reader
	io.Closer
}

// authenticating shows the secret to the device authorization endpoint, too: oauth2
// shows it where tokens are given alone, and many providers want it at both (RFC 8628,
// section 3.1).
func authenticating(client *http.Client, config oauth2.Config) *http.Client {
	if config.ClientSecret == "" || config.Endpoint.AuthStyle != oauth2.AuthStyleInHeader {
		return client
	}
	with := *client
	with.Transport = basic{client.Transport, config}
	return &with
}

type basic struct {
	http.RoundTripper
	config oauth2.Config
}

func (b basic) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.String() == b.config.Endpoint.DeviceAuthURL {
		request = request.Clone(request.Context())
		request.SetBasicAuth(url.QueryEscape(b.config.ClientID), url.QueryEscape(b.config.ClientSecret))
	}
	return b.RoundTripper.RoundTrip(request)
}
