package keeper

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/printable"
)

// Directory judges passwords of people whom a service knows. Its errors but
// [auth.ErrDenied] are that it gives no answer.
type Directory interface {
	// LogIn reports who has a name and a password.
	LogIn(ctx context.Context, name string, password []byte) (auth.Person, error)

	// Find reports who has a name now.
	Find(ctx context.Context, name string) (auth.Person, error)
}

// Provider has people approve logins in a browser. Its errors but [auth.ErrDenied]
// are that it gives no answer.
type Provider interface {
	// Ask asks for an approval: at page, a person approves the code. Wait waits for
	// it, and reports who it was.
	Ask(ctx context.Context) (page, code string, wait func(context.Context) (auth.Person, error), err error)

	// Remembered is who approved lately, as a user with a key of this fingerprint.
	Remembered(user, key string) (auth.Person, bool)

	// Remember keeps that somebody did, if that is wanted.
	Remember(user, key string, person auth.Person) error
}

const (
	// ApprovalTime is how long people have for their browser.
	ApprovalTime = 5 * time.Minute

	maxShown = 500 // runes of what a provider says
)

// NoAnswer is that a service gave no answer about a login, so that nobody has failed.
type NoAnswer struct {
	Service auth.Service
	Err     error
}

func (n *NoAnswer) Error() string { return fmt.Sprintf("%s gives no answer: %v", n.Service, n.Err) }

// answered is an error of a service as the keeper tells it.
func answered(service auth.Service, err error) error {
	if err == nil || errors.Is(err, auth.ErrDenied) {
		return err
	}
	return &NoAnswer{service, err}
}

// Ways are those in which a login may begin besides by a key, for everybody.
type Ways struct {
	Password  bool // somebody has one
	Directory bool // passwords that are denied are asked for at the directory
	Approval  bool
}

// Ways are those that there are now.
func (k *Keeper) Ways() Ways {
	return Ways{
		Password:  k.Directory != nil || k.Provider == nil || k.Policies.Current().HasPasswords(),
		Directory: k.Directory != nil,
		Approval:  k.Provider != nil,
	}
}

// PasswordElsewhere answers whether a password is a step of the login by what the
// directory says. It is asked about everybody, and about who is not its own by a name
// and a password that nobody has: so that the time tells nothing, and it hears no
// other's password. The error is [auth.ErrDenied] or a [*NoAnswer].
func (k *Keeper) PasswordElsewhere(ctx context.Context, a Attempt, password []byte) (Step, error) {
	if k.Directory == nil {
		return Step{}, auth.ErrDenied
	}
	asked, _ := auth.ParseLogin(a.Login)
	policy := k.Policies.Current()
	name, ok := policy.NameAt(auth.LDAP, asked.User)
	if !ok {
		name, password = rand.Text(), []byte(rand.Text())
	}
	person, err := k.Directory.LogIn(ctx, name, password)
	if err != nil {
		return Step{}, answered(auth.LDAP, err)
	}
	return k.by(a, policy, auth.LDAP, person)
}

// by makes what a service says a step of the login, or tells why it is none.
func (k *Keeper) by(a Attempt, policy *auth.Policy, service auth.Service, person auth.Person) (Step, error) {
	who, err := policy.By(service, a.Login, person)
	if err != nil && k.Log != nil {
		k.Log.Info("known elsewhere, and not whom the login names, or in no group that is granted anything", "login", k.NameInLog(a.Login),
			"service", service, "person", printable.Line(person.Name, maxShown))
	}
	return a.step(policy, who, err)
}

// Asked is an approval that was asked for.
type Asked struct {
	Page, Code string
	Number     uint64 // by which it is awaited, once
}

// asked are the approvals that are awaited.
type asked struct {
	mu      sync.Mutex
	last    uint64
	pending map[uint64]pending
}

type pending struct {
	attempt Attempt
	wait    func(context.Context) (auth.Person, error)
	expires *time.Timer
}

func (p *asked) add(a Attempt, wait func(context.Context) (auth.Person, error)) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending == nil {
		p.pending = map[uint64]pending{}
	}
	p.last++
	number := p.last
	p.pending[number] = pending{a, wait, time.AfterFunc(ApprovalTime, func() { p.take(number) })}
	return number
}

// take is an approval that nobody else awaits from now on.
func (p *asked) take(number uint64) (pending, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, ok := p.pending[number]
	delete(p.pending, number)
	if ok {
		found.expires.Stop()
	}
	return found, ok
}

// Ask asks for an approval of a login: at its page, a person approves its code. The
// error is [auth.ErrDenied] or a [*NoAnswer].
func (k *Keeper) Ask(ctx context.Context, a Attempt) (Asked, error) {
	login, _ := auth.ParseLogin(a.Login)
	if k.Provider == nil || a.Before != nil && login != a.Before.Login {
		return Asked{}, auth.ErrDenied
	}
	page, code, wait, err := k.Provider.Ask(ctx)
	if err != nil {
		return Asked{}, answered(auth.OIDC, err)
	}
	return Asked{Page: printable.Line(page, maxShown), Code: printable.Line(code, maxShown), Number: k.asked.add(a, wait)}, nil
}

// Await waits for an approval, for as long as [ApprovalTime], and answers whether it is
// a step of the login. It is remembered for the key that was shown before. The error is
// [auth.ErrDenied], a [*NoAnswer], or ctx's.
func (k *Keeper) Await(ctx context.Context, number uint64) (Step, error) {
	asked, ok := k.asked.take(number)
	if !ok {
		return Step{}, auth.ErrDenied
	}
	bounded, cancel := context.WithTimeout(ctx, ApprovalTime)
	defer cancel()
	person, err := asked.wait(bounded)
	switch {
	case ctx.Err() != nil:
		return Step{}, context.Cause(ctx)
	case bounded.Err() != nil:
		return Step{}, auth.ErrDenied
	case err != nil:
		return Step{}, answered(auth.OIDC, err)
	}
	step, err := k.by(asked.attempt, k.Policies.Current(), auth.OIDC, person)
	if key := keyOf(asked.attempt.Before); err == nil && key != "" {
		if err := k.Provider.Remember(step.Who.User, key, person); err != nil && k.Log != nil {
			k.Log.Error("an approval is not remembered", "err", err)
		}
	}
	return step, err
}

// remembered takes the approval that somebody gave lately with the key of a step, if
// there is one.
func (k *Keeper) remembered(a Attempt, policy *auth.Policy, step Step) Step {
	if k.Provider == nil {
		return step
	}
	person, ok := k.Provider.Remembered(step.Who.User, keyOf(&step.Who))
	if !ok {
		return step
	}
	who, err := policy.By(auth.OIDC, a.Login, person)
	a.Before = &step.Who
	if next, err := a.step(policy, who, err); err == nil {
		return next
	}
	return step
}

// keyOf is the fingerprint of the key that is one of the steps; "" if none is.
func keyOf(who *auth.Identity) string {
	for step := who; step != nil; step = step.Before {
		if step.Method == auth.ByPublicKey {
			return step.Credential
		}
	}
	return ""
}

// Again asks the directory again about somebody who came by it, and returns the
// identity as it is now, whose groups may be others; or which nothing proves any more,
// if there is no such person. The error is a [*NoAnswer].
func (k *Keeper) Again(ctx context.Context, who auth.Identity) (auth.Identity, error) {
	name, ok := who.At(auth.LDAP)
	if !ok || k.Directory == nil {
		return who, nil
	}
	person, err := k.Directory.Find(ctx, name)
	if errors.Is(err, auth.ErrDenied) {
		return who.Now(auth.LDAP, nil), nil
	}
	if err != nil {
		return auth.Identity{}, answered(auth.LDAP, err)
	}
	return who.Now(auth.LDAP, &person), nil
}
