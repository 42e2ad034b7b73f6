package auth

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Grant is what a user may do on the hosts that it is for.
type Grant struct {
	// Accounts are those that a login may name; the first one is taken where a
	// login names none. Without any, the host decides and a login names none.
	Accounts []string

	Restrictions

	Until    time.Time      // when it ends; zero: never
	From     []netip.Prefix // where a connection must come from; nil: anywhere
	Sessions int            // at the same time on one host; 0: any number
	Record   bool           // what its terminals show

	Line string // where it is written, as file:line; may be empty
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
	g.Commands = slices.Clone(g.Commands)
	g.Open = slices.Clone(g.Open)
	g.Listen = slices.Clone(g.Listen)
	g.From = slices.Clone(g.From)
	return g
}

// permits reports whether a login may name an account; "" names none.
func (g Grant) permits(account string) bool {
	return account == "" || slices.Contains(g.Accounts, account)
}

// whyNot says why the grant does not hold for a person now; "" if it does.
func (g Grant) whyNot(who Identity, host string, now time.Time) string {
	inside := func(network netip.Prefix) bool { return network.Contains(who.From.Unmap()) }
	switch {
	case !g.Until.IsZero() && !now.Before(g.Until):
		return fmt.Sprintf("host %q was granted to %s until %s", host, who.User, g.Until.Format("2006-01-02 15:04 MST"))
	case g.From != nil && !slices.ContainsFunc(g.From, inside):
		return fmt.Sprintf("host %q is not granted to %s from %s", host, who.User, who.From)
	}
	return ""
}

// Group is what all its members are granted: users who have it, and people of
// services.
type Group struct {
	Name   string
	Hosts  map[string]Grant // as those of [User]
	Limits Limits           // those of members who have no others
	At     []ServiceGroup   // whose people are members
}

// GrantLine is a grant and the hosts that it is for.
type GrantLine struct {
	Grant
	Hosts string // a name, a pattern, project:NAME, label:KEY=VALUE or box:NAME
	Group string // that it came by; "": the user's own

	selector selector
}

// linesOf puts grants in the order in which they are asked.
func linesOf(group string, hosts map[string]Grant) []GrantLine {
	var lines []GrantLine
	for text, grant := range hosts {
		selector, _ := parseSelector(text) // checked before
		lines = append(lines, GrantLine{grant.clone(), text, group, selector})
	}
	slices.SortFunc(lines, func(a, b GrantLine) int {
		return cmp.Or(cmp.Compare(a.selector.rank(), b.selector.rank()), strings.Compare(a.Hosts, b.Hosts))
	})
	return lines
}

func checkHosts(hosts map[string]Grant) error {
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		if err := CheckSelector(host); err != nil {
			return fmt.Errorf("host: %w", err)
		}
		for _, account := range hosts[host].Accounts {
			if err := CheckName(account); err != nil {
				return fmt.Errorf("account on %s: %w", host, err)
			}
		}
	}
	return nil
}
