package auth

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Target is where a login leads.
type Target struct {
	Host    Host
	Account string // "" where the host decides
	Grant   Grant  // the grant that allows it
}

// Refusal says why a user who has logged in enters no host. Its text is for this
// person, and names nothing that is not granted.
type Refusal struct{ text string }

// Refused returns a refusal that the [Policy] of another process has made.
func Refused(text string) *Refusal { return &Refusal{text} }

func (r *Refusal) Error() string { return r.text }

func refuse(format string, args ...any) *Refusal {
	return &Refusal{fmt.Sprintf(format, args...)}
}

// Host decides, by names alone, to which host a login leads: the one that it names,
// if any grant may be for it; otherwise the only one that is granted. It calls there
// for the existing hosts only if the login names none and the user is granted hosts
// by other means than names. The error is a [*Refusal], of several lines if the user
// has to choose.
func (p *Policy) Host(who Identity, there func() []Host) (string, error) {
	if !p.stillProves(who) {
		return "", notAnyMore(who)
	}
	lines := p.person(who).lines
	if len(lines) == 0 {
		return "", refuse("no host is granted to %s", who.User)
	}
	if asked := who.Login.Host; asked != "" {
		mayBe := func(line GrantLine) bool { return line.selector.mayMatch(asked) }
		_, err := question{who, asked, who.Login.Account, mayBe}.decide(lines)
		return asked, err
	}
	return chooseHost(who, lines, there)
}

func notAnyMore(who Identity) *Refusal {
	return refuse("%s may not log in in this way any more", who.User)
}

// Target decides whether an identity may enter a host, and as which account. It uses
// this host, not the one in the login. The error is a [*Refusal] of one line.
func (p *Policy) Target(who Identity, host Host) (Target, error) {
	if !p.stillProves(who) {
		return Target{}, notAnyMore(who)
	}
	isFor := func(line GrantLine) bool { return line.selector.matches(host) }
	grant, err := question{who, host.Name, who.Login.Account, isFor}.decide(p.person(who).lines)
	if err != nil {
		return Target{}, err
	}
	if grant, err = grant.by(who); err != nil {
		return Target{}, err
	}
	return Target{Host: host, Account: cmp.Or(who.Login.Account, grant.Account()), Grant: grant}, nil
}

// CurrentGrant returns the grant that is valid now for a connection that has entered
// a host as an account. If there is none, the error, a [*Refusal] of one line, says
// why, and the connection must end.
func (p *Policy) CurrentGrant(who Identity, host Host, account string) (Grant, error) {
	if !p.stillProves(who) {
		return Grant{}, notAnyMore(who)
	}
	isFor := func(line GrantLine) bool {
		if !line.selector.matches(host) {
			return false
		}
		return slices.Contains(line.Accounts, account) || len(line.Accounts) == 0 && account == host.Account
	}
	grant, err := question{who: who, host: host.Name, isFor: isFor}.decide(p.person(who).lines)
	if err != nil {
		return Grant{}, err
	}
	return grant.by(who)
}

// by returns the grant with the restrictions of the credential added.
func (g Grant) by(who Identity) (Grant, error) {
	both, ok := g.Restrictions.And(who.Restrictions)
	if !ok {
		return Grant{}, refuse("the key or certificate of %s forces a command, and the grant another one", who.User)
	}
	g.Restrictions = both.orNone()
	return g, nil
}

// Explain returns the grants of an identity for a host in the order in which they are
// tried: the first one that is valid for a login decides.
func (p *Policy) Explain(who Identity, host Host) []GrantLine {
	known := p.person(who)
	if known == nil {
		return nil
	}
	var lines []GrantLine
	for _, line := range known.lines {
		if line.selector.matches(host) {
			lines = append(lines, line)
		}
	}
	return lines
}

// question is what is asked about a user's grants.
type question struct {
	who     Identity
	host    string
	account string // the account that the login names; "" for none
	isFor   func(GrantLine) bool
}

// decide returns the first grant that is for the host, is valid now, and permits the
// account.
func (q question) decide(lines []GrantLine) (Grant, error) {
	var accounts []string
	found, why := false, ""
	now := time.Now()
	for _, line := range lines {
		if !q.isFor(line) {
			continue
		}
		if not := line.whyNot(q.who, q.host, now); not != "" {
			why = not
			continue
		}
		if line.permits(q.account) {
			return line.Grant, nil
		}
		found, accounts = true, append(accounts, line.Accounts...)
	}
	if found {
		return Grant{}, q.refuseAccount(accounts)
	}
	if why != "" {
		return Grant{}, refuse("%s", why)
	}
	return Grant{}, q.refuseHost(lines)
}

func (q question) refuseAccount(granted []string) error {
	user := q.who.User
	if len(granted) == 0 {
		return refuse("account %q is not granted to %s on %s; name no account: %s+%s", q.account, user, q.host, user, q.host)
	}
	return refuse("account %q is not granted to %s on %s; granted: %s", q.account, user, q.host, strings.Join(granted, ", "))
}

// refuseHost returns the refusal of a host for which no grant is. It cannot tell a
// host that does not exist from one that is not granted, and so the person learns
// neither.
func (q question) refuseHost(lines []GrantLine) error {
	var granted []string
	for _, line := range lines {
		if line.whyNot(q.who, q.host, time.Now()) == "" {
			granted = append(granted, line.Hosts)
		}
	}
	if len(granted) == 0 {
		return refuse("no host is granted to %s", q.who.User)
	}
	slices.Sort(granted)
	return refuse("host %q is not granted to %s; granted: %s", q.host, q.who.User, strings.Join(slices.Compact(granted), ", "))
}

// chooseHost returns the only host that is granted now, for a login that names none.
func chooseHost(who Identity, lines []GrantLine, there func() []Host) (string, error) {
	granted := map[string]bool{}
	named := func(line GrantLine) bool { return line.selector.name != "" }
	for _, line := range lines {
		if named(line) && line.whyNot(who, line.Hosts, time.Now()) == "" {
			granted[line.Hosts] = true
		}
	}
	if there != nil && !all(lines, named) {
		for _, host := range there() {
			q := question{who: who, host: host.Name, isFor: func(line GrantLine) bool { return line.selector.matches(host) }}
			if _, err := q.decide(lines); err == nil {
				granted[host.Name] = true
			}
		}
	}
	switch names := slices.Sorted(maps.Keys(granted)); len(names) {
	case 0:
		return "", refuse("no host is granted to %s", who.User)
	case 1:
		return names[0], nil
	default:
		choice := fmt.Sprintf("%d hosts are granted to %s; log in as one of", len(names), who.User)
		for _, name := range names {
			choice += "\n  " + Login{User: who.User, Host: name}.String()
		}
		return "", refuse("%s", choice)
	}
}

func all(lines []GrantLine, is func(GrantLine) bool) bool {
	return !slices.ContainsFunc(lines, func(line GrantLine) bool { return !is(line) })
}
