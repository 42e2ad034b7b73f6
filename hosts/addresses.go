package hosts

import (
	"context"
	"maps"
	"sync/atomic"

	"github.com/berth-ssh/berth/labels"

	"golang.org/x/crypto/ssh"
)

// Addresses is the [Source] of the sshds whose addresses are in the configuration.
type Addresses struct {
	entries atomic.Pointer[map[string]Entry]
}

// NewAddresses returns a source of the entries with an address.
func NewAddresses(entries []Entry) *Addresses {
	a := &Addresses{}
	a.Replace(entries)
	return a
}

// Replace replaces the entries. Existing connections go on.
func (a *Addresses) Replace(entries []Entry) {
	byName := map[string]Entry{}
	for _, entry := range entries {
		if entry.Address != "" {
			byName[entry.Name] = entry
		}
	}
	a.entries.Store(&byName)
}

func (a *Addresses) entry(name string) (entry Entry, known bool) {
	entry, known = (*a.entries.Load())[name]
	return entry, known
}

// KeepsKey reports whether the gateway logs in to an entry with a key of its own, and
// not by the user CA.
func (a *Addresses) KeepsKey(name string) bool {
	entry, _ := a.entry(name)
	return entry.Key != nil
}

// Run returns at once: nothing changes by itself.
func (a *Addresses) Run(context.Context) {}

// Close does nothing.
func (a *Addresses) Close() {}

// Lookup finds an entry.
func (a *Addresses) Lookup(_ context.Context, name string) (Host, error) {
	entry, known := a.entry(name)
	if !known {
		return Host{}, &Unreachable{Host: name, Why: "does not exist", Unknown: true}
	}
	return Host{Name: name, Route: labels.RouteSshd, Account: entry.Account}, nil
}

// List returns the entries.
func (a *Addresses) List(ctx context.Context) []Host {
	return LookupEach(ctx, maps.Keys(*a.entries.Load()), a.Lookup)
}

// ComingBack knows nothing: nobody reports what happens at an address.
func (a *Addresses) ComingBack(name string) (comingBack, known bool) {
	_, known = a.entry(name)
	return false, known
}

// Open connects to the sshd. The caller must accept only the entry's host key.
func (a *Addresses) Open(ctx context.Context, host Host, _ string) (Entrance, error) {
	entry, known := a.entry(host.Name)
	if !known {
		return Entrance{}, &Unreachable{Host: host.Name, Why: "does not exist any more"}
	}
	conn, err := DialSshd(ctx, host.Name, entry.Address)
	if err != nil {
		return Entrance{}, err
	}
	return Entrance{Sshd: &Sshd{Conn: conn, Host: host.Name, HostKeys: []ssh.PublicKey{entry.HostKey}, Key: entry.Key}}, nil
}
