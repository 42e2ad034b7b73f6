package selftest

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/gateway"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/hosts/configured"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/state"
)

const userName = "selftest"

// ownGateway is a gateway in this process, for one user and one host.
type ownGateway struct {
	address string
	hostKey ssh.PublicKey
	private ed25519.PrivateKey // the user's
	host    hosts.Host
	account string
	stop    func()
}

func (g *ownGateway) String() string {
	account := cmp.Or(g.account, g.host.Account)
	if account == "" {
		return fmt.Sprintf("host %s, route %s, as the account it runs as", g.host.Name, g.host.Route)
	}
	return fmt.Sprintf("host %s, route %s, as %s", g.host.Name, g.host.Route, account)
}

// startGateway serves on a port of 127.0.0.1 until it is stopped.
func startGateway(ctx context.Context, settings config.Config, host, account string, log *slog.Logger) (*ownGateway, error) {
	if err := auth.CheckName(host); err != nil {
		return nil, err
	}
	g, policy, err := newUser(host, account)
	if err != nil {
		return nil, err
	}
	st, err := state.OpenWithKeys(settings.State, settings.Keys)
	if err != nil {
		return nil, err
	}
	directory, err := configured.Open(settings.HostSettings(), st, log)
	if err != nil {
		return nil, err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	followed, served := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(followed)
		directory.Run(serving)
	}()
	g.stop = func() {
		stop()
		<-followed
		<-served
		directory.Close()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		g.host, err = directory.Lookup(ctx, host)
	}
	if err != nil {
		close(served)
		g.stop()
		return nil, err
	}
	kept := &keeper.Keeper{UserCA: func() ssh.Signer { return st.UserCA().Key }, Policies: auth.NewPolicies(policy), Hosts: directory}
	server := &gateway.Server{HostKeys: gateway.HostKeys{Key: st.HostKey()}.Fixed, Keeper: kept, Log: log}
	go func() {
		defer close(served)
		server.Serve(serving, listener)
	}()
	g.address, g.hostKey = listener.Addr().String(), st.HostKey().PublicKey()
	return g, nil
}

// newUser makes a user with a new key, who may enter the host only.
func newUser(host, account string) (*ownGateway, *auth.Policy, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, nil, err
	}
	policy, err := auth.NewPolicy([]auth.User{{
		Name:  userName,
		Keys:  []ssh.PublicKey{key},
		Hosts: map[string]auth.Grant{host: auth.GrantAccount(account)},
	}})
	return &ownGateway{private: private, account: account}, policy, err
}
