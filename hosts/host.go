package hosts

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Host is what a name stood for when it was looked up.
type Host struct {
	Name      string // the name that grants use: its plain one, or Exact if the plain one belongs to another host
	Route     string // labels.RouteSshd, labels.RouteExec or labels.RouteLocal
	Account   string // the host's own account, for grants that name none; may be empty
	Container string // full id; empty if the host is no container

	Project string            // of provision or docker compose; may be empty
	Labels  map[string]string // of the container; must not be changed

	Person string // the person for whom it is opened; empty for a lookup

	// If there are several boxes (see package hosts/boxes); otherwise empty.
	Box   string
	Exact string // name.box, which always stands for this host

	source Source // the source that knows it; set by the directory
}

// Unreachable says why a host cannot be entered now.
type Unreachable struct {
	Host  string
	Why   string // one line for the person, who has logged in
	Cause error  // for the log; may be nil

	// Details finds out more about the reason, to be put after Why; "" for nothing.
	// It may take a few seconds. It may be nil.
	Details func(context.Context) string

	Box string // the box in the name.box that was asked for; else empty

	// Unknown says that the source knows no such host at all.
	Unknown bool

	// Silent names the engine, box or cluster that does not answer or refuses the
	// gateway, with the reason, so that it is unknown whether there is such a host.
	// It is "" if it is known.
	Silent string

	// Patience is how long, since the first attempt, it is worth trying again: 0 for
	// an error that will not go away by itself.
	Patience time.Duration
}

func (u *Unreachable) Error() string { return fmt.Sprintf("host %q %s", u.Host, u.Why) }
func (u *Unreachable) Unwrap() error { return u.Cause }

// NewUnreachable returns an [Unreachable]; cause may be nil.
func NewUnreachable(host, why string, cause error) error {
	return &Unreachable{Host: host, Why: why, Cause: cause}
}

// Soon returns the error with a patience: it is worth trying again for that time.
func Soon(err error, patience time.Duration) error {
	if why := AsUnreachable(err); why != nil {
		why.Patience = patience
	}
	return err
}

// AsUnreachable returns the [Unreachable] in an error; nil if there is none.
func AsUnreachable(err error) *Unreachable {
	unreachable, _ := errors.AsType[*Unreachable](err)
	return unreachable
}

// IsUnknown reports whether an error says that there is no such host.
func IsUnknown(err error) bool {
	why := AsUnreachable(err)
	return why != nil && why.Unknown
}

// IsSilent reports whether an error says that the engine, box or cluster of the host
// does not answer.
func IsSilent(err error) bool {
	why := AsUnreachable(err)
	return why != nil && why.Silent != ""
}
