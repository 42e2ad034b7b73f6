package hosts

import (
	"context"

	"berth/labels"

	"golang.org/x/crypto/ssh"
)

// Addresses are the sshds that the configuration gives the addresses of: any
// sshd anywhere. They are a [Source], whose names never change.
type Addresses map[string]Entry

// NewAddresses takes the entries that have an address.
func NewAddresses(entries []Entry) Addresses {
	a := Addresses{}
	for _, entry := range entries {
		if entry.Address != "" {
			a[entry.Name] = entry
		}
	}
	return a
}

// Run returns at once: nothing changes.
func (a Addresses) Run(context.Context) {}

// Close has nothing to let go of.
func (a Addresses) Close() {}

// Lookup finds an entry.
func (a Addresses) Lookup(_ context.Context, name string) (Host, error) {
	entry, known := a[name]
	if !known {
		return Host{}, &Unreachable{Host: name, Why: "does not exist", Unknown: true}
	}
	return Host{Name: name, Route: labels.RouteSshd, Account: entry.Account}, nil
}

// List lists the entries.
func (a Addresses) List(ctx context.Context) []Host {
	var all []Host
	for name := range a {
		host, _ := a.Lookup(ctx, name)
		all = append(all, host)
	}
	return all
}

// ComingBack knows nothing of what happens at an address.
func (a Addresses) ComingBack(name string) (comingBack, known bool) {
	_, known = a[name]
	return false, known
}

// Open connects to the sshd. Whoever logs in to it believes the entry's host
// key alone.
func (a Addresses) Open(ctx context.Context, host Host, _ string) (Entrance, error) {
	entry := a[host.Name]
	conn, err := DialSshd(ctx, host.Name, entry.Address)
	if err != nil {
		return Entrance{}, err
	}
	return Entrance{Sshd: &Sshd{Conn: conn, Host: host.Name, HostKeys: []ssh.PublicKey{entry.HostKey}, Key: entry.Key}}, nil
}
