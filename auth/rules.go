package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Rule says which steps a login needs, for some users from some addresses.
type Rule struct {
	Users  Names          // nil: everybody
	Groups []ServiceGroup // service groups to whose people it also applies
	From   Sources        // where the client is; nil: anywhere
	With   []Steps        // any one of these suffices
}

// Names is a set of users; nil is everybody.
type Names []string

func (n Names) has(name string) bool { return n == nil || slices.Contains(n, name) }

// Steps are methods that must all be proved; a code or an approval comes last.
type Steps []Method

var errSteps = errors.New("not the steps of a login; write key, password, key+password, oidc, key+totp, password+totp, key+password+totp, key+oidc or password+oidc")

// ParseSteps parses steps as in a configuration: key, password, totp and oidc, with +
// between them.
func ParseSteps(text string) (Steps, error) {
	var steps Steps
	for word := range strings.SplitSeq(text, "+") {
		step := map[string]Method{"key": ByPublicKey, "password": ByPassword, "totp": ByCode, "oidc": ByApproval}[word]
		if step == "" || slices.Contains(steps, step) {
			return nil, fmt.Errorf("%.40q is %w", text, errSteps)
		}
		steps = append(steps, step)
	}
	if len(steps) == 1 && steps[0] == ByCode {
		return nil, errors.New("totp alone is no login; write key+totp or password+totp")
	}
	if slices.Contains(steps, ByCode) && slices.Contains(steps, ByApproval) {
		return nil, errors.New("totp and oidc do not go together; have the provider ask for a second factor")
	}
	return steps, nil
}

// usual returns what suffices if no rule says otherwise.
func usual() []Steps { return []Steps{{ByPublicKey}, {ByPassword}, {ByApproval}} }

func (p *Policy) stepsFor(who Identity) []Steps {
	for _, rule := range p.rules {
		if (rule.Users.has(who.User) || who.isIn(rule.Groups)) && rule.From.Has(who.From) {
			return rule.With
		}
	}
	return usual()
}

// After decides what follows a proved step. After the last step next is nil, and the
// returned identity is that of the login. Otherwise next has the methods of which any
// one may follow. The error is [ErrDenied] for a step that can lead to no login: to
// the client it must look like one that was not proved.
//
// before is the step that was proved before this one, or nil. Both must be of the
// same user and the same login; otherwise the error is [ErrDenied], too.
func (p *Policy) After(before *Identity, who Identity) (_ Identity, next []Method, _ error) {
	if before != nil {
		restrictions, ok := before.Restrictions.And(who.Restrictions)
		if before.User != who.User || before.Login != who.Login || before.From != who.From || !ok {
			return Identity{}, nil, ErrDenied
		}
		who.Before, who.Restrictions = before, restrictions
	}
	proved := who.proved()
	leads := false
	for _, steps := range p.stepsFor(who) {
		missing, ok := steps.without(proved)
		if ok && len(missing) == 0 {
			return who, nil, nil
		}
		if ok {
			leads = true
			next = append(next, missing...)
		}
	}
	if !leads {
		return Identity{}, nil, ErrDenied
	}
	slices.Sort(next)
	return who, slices.Compact(next), nil
}

// proved returns the methods of all steps.
func (i Identity) proved() []Method {
	var methods []Method
	for step := &i; step != nil; step = step.Before {
		methods = append(methods, step.Method)
	}
	return methods
}

// Asks reports whether a login may need a step of this method.
func (r Rule) Asks(method Method) bool {
	return slices.ContainsFunc(r.With, func(s Steps) bool { return slices.Contains(s, method) })
}

// AsksTwoThings reports whether keyboard-interactive would have to ask for a code or
// an approval at the same point.
func (r Rule) AsksTwoThings() bool {
	others := func(s Steps) string {
		rest := slices.DeleteFunc(slices.Clone(s), func(m Method) bool { return m == ByCode || m == ByApproval })
		slices.Sort(rest)
		return fmt.Sprint(rest)
	}
	for _, a := range r.With {
		for _, b := range r.With {
			if slices.Contains(a, ByCode) && slices.Contains(b, ByApproval) && others(a) == others(b) {
				return true
			}
		}
	}
	return false
}

// without returns the steps that are still missing after some were proved. ok is
// false if a proved step is none of these steps, or if a code was proved before
// another step: strangers must not be able to guess codes.
func (s Steps) without(proved []Method) (missing []Method, ok bool) {
	for _, method := range proved {
		if !slices.Contains(s, method) {
			return nil, false
		}
	}
	for _, step := range s {
		if !slices.Contains(proved, step) {
			missing = append(missing, step)
		}
	}
	if len(missing) > 0 && slices.Contains(proved, ByCode) {
		return nil, false
	}
	if len(missing) > 1 { // a code and an approval come last
		missing = slices.DeleteFunc(missing, func(m Method) bool { return m == ByCode || m == ByApproval })
	}
	return missing, true
}

// Asks reports whether a login of this user may need a step of this method.
func (p *Policy) Asks(user string, method Method) bool {
	if p.users[user] == nil {
		return false
	}
	for _, rule := range p.rules {
		if rule.Users.has(user) && rule.Asks(method) {
			return true
		}
	}
	return false
}
