package auth

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Grant is an identity: who logged in, and what that very attempt asked for.
type Grant struct {
	user  string
	login Login
	hosts map[string]string
}

// User is the name of the user who proved to be so.
func (g *Grant) User() string { return g.user }

// Login is what the successful attempt asked for.
func (g *Grant) Login() Login { return g.login }

// Refusal says why a user who did log in enters no host. Its text is for this
// person and names nothing that was not granted.
type Refusal struct{ text string }

func (r *Refusal) Error() string { return r.text }

func refuse(format string, args ...any) *Refusal {
	return &Refusal{fmt.Sprintf(format, args...)}
}

// Target is the host to enter and the account to be there; the account is ""
// where the host decides. The error is a [*Refusal]: of several lines if there
// is a choice to make, of one line otherwise.
func (g *Grant) Target() (host, account string, err error) {
	host, err = g.host()
	if err != nil {
		return "", "", err
	}
	account = g.hosts[host]
	asked := g.login.Account
	switch {
	case asked == "" || asked == account:
		return host, account, nil
	case account == "":
		return "", "", refuse("account %q is not granted to %s on %s; name no account: %s+%s", asked, g.user, host, g.user, host)
	default:
		return "", "", refuse("account %q is not granted to %s on %s; granted: %s", asked, g.user, host, account)
	}
}

// host treats a host that does not exist as one that is not granted: it cannot
// tell them apart, and so neither can the person.
func (g *Grant) host() (string, error) {
	granted := slices.Sorted(maps.Keys(g.hosts))
	asked := g.login.Host
	switch {
	case len(granted) == 0:
		return "", refuse("no host is granted to %s", g.user)
	case asked != "" && slices.Contains(granted, asked):
		return asked, nil
	case asked != "":
		return "", refuse("host %q is not granted to %s; granted: %s", asked, g.user, strings.Join(granted, ", "))
	case len(granted) == 1:
		return granted[0], nil
	}
	choice := fmt.Sprintf("%d hosts are granted to %s; log in as one of", len(granted), g.user)
	for _, host := range granted {
		choice += "\n  " + Login{User: g.user, Host: host}.String()
	}
	return "", refuse("%s", choice)
}
