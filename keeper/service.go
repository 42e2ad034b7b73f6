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

// Directory checks passwords of people whom a service knows. Any error other than
// [auth.ErrDenied] means that the service gave no answer.
type Directory interface {
	// LogIn returns the person with this name and password.
	LogIn(ctx context.Context, name string, password []byte) (auth.Person, error)

	// Find returns the person with this name, as the directory describes them now.
	Find(ctx context.Context, name string) (auth.Person, error)
}

// Provider lets people approve logins in a browser. Any error other than
// [auth.ErrDenied] means that it gave no answer.
type Provider interface {
	// Ask requests an approval: a person must open the page and approve the code
	// there. wait waits for that, and returns the person.
	Ask(ctx context.Context) (page, code string, wait func(context.Context) (auth.Person, error), err error)

	// Remembered returns the person of a recent approval of this user with the key of
	// this fingerprint.
	Remembered(user, key string) (auth.Person, bool)

	// Remember keeps an approval for Remembered, if the settings want that.
	Remember(user, key string, person auth.Person) error
}

const (
	// ApprovalTime is how long a person may take to approve in a browser.
	ApprovalTime = 5 * time.Minute

	maxShown = 500 // runes of a provider's text
)

// NoAnswer is the error if a service gave no answer about a login. It does not count
// as a failed attempt.
type NoAnswer struct {
	Service auth.Service
	Err     error
}

func (n *NoAnswer) Error() string { return fmt.Sprintf("%s gives no answer: %v", n.Service, n.Err) }

// serviceError turns an error of a service into one of the keeper.
func serviceError(service auth.Service, err error) error {
	if err == nil || errors.Is(err, auth.ErrDenied) {
		return err
	}
	return &NoAnswer{service, err}
}

// LoginMethods has the methods, besides a key, by which a login may begin. They are
// the same for everybody.
type LoginMethods struct {
	Password  bool // some user has a password
	Directory bool // the directory is asked about denied passwords
	Approval  bool
}

// LoginMethods returns the present methods.
func (k *Keeper) LoginMethods() LoginMethods {
	return LoginMethods{
		Password:  k.Directory != nil || k.Provider == nil || k.Policies.Current().HasPasswords(),
		Directory: k.Directory != nil,
		Approval:  k.Provider != nil,
	}
}

// DirectoryPassword asks the directory whether a password is valid for a step of the
// login. It asks about every user, so that the time reveals nothing; for users who
// are not the directory's it asks with a random name and password, so that the
// directory learns no other's password. The error is [auth.ErrDenied] or a
// [*NoAnswer].
func (k *Keeper) DirectoryPassword(ctx context.Context, a Attempt, password []byte) (Step, error) {
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
		return Step{}, serviceError(auth.LDAP, err)
	}
	return k.identify(a, policy, auth.LDAP, person)
}

// identify returns the step of a login for a person whom a service has identified. If
// the policy does not let this person log in as that user, it logs that and returns
// [auth.ErrDenied].
func (k *Keeper) identify(a Attempt, policy *auth.Policy, service auth.Service, person auth.Person) (Step, error) {
	who, err := policy.By(service, a.Login, person)
	if err != nil && k.Log != nil {
		k.Log.Info("known to the service, but not as the user of this login, or in no group with a grant", "login", k.LogName(a.Login),
			"service", service, "person", printable.Line(person.Name, maxShown))
	}
	return a.step(policy, who, err)
}

// Approval is a requested approval: a person must open the page and approve the code
// there.
type Approval struct {
	Page, Code string
	Number     uint64 // for [Keeper.AwaitApproval], which may be called once
}

// approvals are those that were requested and are not awaited yet.
type approvals struct {
	mu      sync.Mutex
	last    uint64
	pending map[uint64]pending
}

type pending struct {
	attempt Attempt
	wait    func(context.Context) (auth.Person, error)
	expires *time.Timer
}

func (p *approvals) add(a Attempt, wait func(context.Context) (auth.Person, error)) uint64 {
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

// take removes and returns an approval, so that it is awaited once.
func (p *approvals) take(number uint64) (pending, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, ok := p.pending[number]
	delete(p.pending, number)
	if ok {
		found.expires.Stop()
	}
	return found, ok
}

// RequestApproval asks the provider for an approval of a login. The error is
// [auth.ErrDenied] or a [*NoAnswer].
func (k *Keeper) RequestApproval(ctx context.Context, a Attempt) (Approval, error) {
	login, _ := auth.ParseLogin(a.Login)
	if k.Provider == nil || a.Before != nil && login != a.Before.Login {
		return Approval{}, auth.ErrDenied
	}
	page, code, wait, err := k.Provider.Ask(ctx)
	if err != nil {
		return Approval{}, serviceError(auth.OIDC, err)
	}
	return Approval{Page: printable.Line(page, maxShown), Code: printable.Line(code, maxShown), Number: k.approvals.add(a, wait)}, nil
}

// AwaitApproval waits for an approval, for at most [ApprovalTime], and reports
// whether it is valid for a step of the login. The provider may remember it for the
// key with which the login began. The error is [auth.ErrDenied], a [*NoAnswer], or
// ctx's.
func (k *Keeper) AwaitApproval(ctx context.Context, number uint64) (Step, error) {
	requested, ok := k.approvals.take(number)
	if !ok {
		return Step{}, auth.ErrDenied
	}
	bounded, cancel := context.WithTimeout(ctx, ApprovalTime)
	defer cancel()
	person, err := requested.wait(bounded)
	switch {
	case ctx.Err() != nil:
		return Step{}, context.Cause(ctx)
	case bounded.Err() != nil:
		return Step{}, auth.ErrDenied
	case err != nil:
		return Step{}, serviceError(auth.OIDC, err)
	}
	step, err := k.identify(requested.attempt, k.Policies.Current(), auth.OIDC, person)
	if key := keyOf(requested.attempt.Before); err == nil && key != "" {
		if err := k.Provider.Remember(step.Who.User, key, person); err != nil && k.Log != nil {
			k.Log.Error("an approval is not remembered", "err", err)
		}
	}
	return step, err
}

// remembered returns the step after an approval if one is remembered for the key of
// this step; otherwise this step.
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

// keyOf returns the fingerprint of the key that was one of the steps; "" if none was.
func keyOf(who *auth.Identity) string {
	for step := who; step != nil; step = step.Before {
		if step.Method == auth.ByPublicKey {
			return step.Credential
		}
	}
	return ""
}

// Recheck asks the directory again about a person who logged in by it, and returns
// the identity with the present groups. If the directory does not know the person any
// more, the returned identity is no longer proved. The error is a [*NoAnswer].
func (k *Keeper) Recheck(ctx context.Context, who auth.Identity) (auth.Identity, error) {
	name, ok := who.At(auth.LDAP)
	if !ok || k.Directory == nil {
		return who, nil
	}
	person, err := k.Directory.Find(ctx, name)
	if errors.Is(err, auth.ErrDenied) {
		return who.Now(auth.LDAP, nil), nil
	}
	if err != nil {
		return auth.Identity{}, serviceError(auth.LDAP, err)
	}
	return who.Now(auth.LDAP, &person), nil
}
