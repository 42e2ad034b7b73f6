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
	// Accounts are those that a login may name; a login that names none gets the
	// first one. If there are none, the host decides, and a login may not name one.
	Accounts []string

	Restrictions

	Until    time.Time      // when the grant ends; zero: never
	From     []netip.Prefix // the networks from which a connection must come; nil: any
	Sessions int            // how many at the same time on one host; 0: any number
	Record   bool           // terminals are recorded

	Line string // where it is written, as file:line; may be empty
}

// GrantAccount returns a grant of one account, or of the host's own if account is "".
func GrantAccount(account string) Grant {
	if account == "" {
		return Grant{}
	}
	return Grant{Accounts: []string{account}}
}

// Account returns the account for a login that names none; "" if the host decides.
func (g Grant) Account() string {
	if len(g.Accounts) == 0 {
		return ""
	}
	return g.Accounts[0]
}

// clone returns a copy that shares no memory with g.
func (g Grant) clone() Grant {
	g.Accounts = slices.Clone(g.Accounts)
	g.Commands = slices.Clone(g.Commands)
	g.Open = slices.Clone(g.Open)
	g.Listen = slices.Clone(g.Listen)
	g.From = slices.Clone(g.From)
	return g
}

// permits reports whether a login may name this account; "" stands for none.
func (g Grant) permits(account string) bool {
	return account == "" || slices.Contains(g.Accounts, account)
}

// whyNot returns why the grant is not valid for a person now; "" if it is.
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

// Group is what all of its members are granted. Members are users who name the group,
// and people in its service groups.
type Group struct {
	Name   string
	Hosts  map[string]Grant // like those of [User]
	Limits Limits           // for members without limits of their own
	At     []ServiceGroup   // service groups whose people are members
}

// GrantLine is a grant with the hosts that it is for.
type GrantLine struct {
	Grant
	Hosts string // a name, a pattern, project:NAME, label:KEY=VALUE or box:NAME
	Group string // that it came by; "": the user's own

	selector selector
}

// linesOf returns grants in the order in which they are tried.
func linesOf(group string, hosts map[string]Grant) []GrantLine {
	var lines []GrantLine
	for text, grant := range hosts {
		selector, _ := parseSelector(text) // valid: it was checked before
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
