package auth

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Grant is what a user may do on one host.
type Grant struct {
	// Accounts are those that a login may name; the first one is taken where a
	// login names none. Without any, the host decides and a login names none.
	Accounts []string
}

// GrantAccount grants one account, or the host's own where it is "".
func GrantAccount(account string) Grant {
	if account == "" {
		return Grant{}
	}
	return Grant{Accounts: []string{account}}
}

// Account is the account where a login names none; "" where the host decides.
func (g Grant) Account() string {
	if len(g.Accounts) == 0 {
		return ""
	}
	return g.Accounts[0]
}

// clone shares no memory with g.
func (g Grant) clone() Grant {
	g.Accounts = slices.Clone(g.Accounts)
	return g
}

// Target is what a login comes to.
type Target struct {
	Host    string
	Account string // "" where the host decides
}

// Refusal says why a user who did log in enters no host. Its text is for this
// person and names nothing that was not granted.
type Refusal struct{ text string }

func (r *Refusal) Error() string { return r.text }

func refuse(format string, args ...any) *Refusal {
	return &Refusal{fmt.Sprintf(format, args...)}
}

// Target decides which host an identity enters and as which account. It may be
// asked again at any time, of a later policy too: then the answer tells whether
// a connection may go on. The error is a [*Refusal]: of several lines if there
// is a choice to make, of one line otherwise.
func (p *Policy) Target(who Identity) (Target, error) {
	if !p.stillProves(who) {
		return Target{}, refuse("%s may not log in in this way any more", who.User)
	}
	hosts := p.users[who.User].hosts
	host, err := chooseHost(who, slices.Sorted(maps.Keys(hosts)))
	if err != nil {
		return Target{}, err
	}
	account, err := chooseAccount(who, host, hosts[host])
	if err != nil {
		return Target{}, err
	}
	return Target{Host: host, Account: account}, nil
}

// chooseHost treats a host that does not exist as one that is not granted: it
// cannot tell them apart, and so neither can the person.
func chooseHost(who Identity, granted []string) (string, error) {
	asked := who.Login.Host
	switch {
	case len(granted) == 0:
		return "", refuse("no host is granted to %s", who.User)
	case asked != "" && slices.Contains(granted, asked):
		return asked, nil
	case asked != "":
		return "", refuse("host %q is not granted to %s; granted: %s", asked, who.User, strings.Join(granted, ", "))
	case len(granted) == 1:
		return granted[0], nil
	}
	choice := fmt.Sprintf("%d hosts are granted to %s; log in as one of", len(granted), who.User)
	for _, host := range granted {
		choice += "\n  " + Login{User: who.User, Host: host}.String()
	}
	return "", refuse("%s", choice)
}

func chooseAccount(who Identity, host string, grant Grant) (string, error) {
	asked := who.Login.Account
	switch {
	case asked == "":
		return grant.Account(), nil
	case slices.Contains(grant.Accounts, asked):
		return asked, nil
	case len(grant.Accounts) == 0:
		return "", refuse("account %q is not granted to %s on %s; name no account: %s+%s", asked, who.User, host, who.User, host)
	}
	return "", refuse("account %q is not granted to %s on %s; granted: %s", asked, who.User, host, strings.Join(grant.Accounts, ", "))
}
