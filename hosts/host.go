package hosts

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Host is a name that was looked up: what it meant at that moment.
type Host struct {
	Name      string // by which grants know it: its own one, or Exact where that is another's
	Route     string // labels.RouteSshd, labels.RouteExec or labels.RouteLocal
	Account   string // the host's own account, for grants that name none; may be empty
	Container string // full id; empty where the host is none

	Project string            // that provision or docker compose made it for; may be empty
	Labels  map[string]string // of the container; not to be changed

	Person string // for whom it is opened; empty while it is only looked up

	// Where hosts are on several boxes (see package hosts/boxes); else empty.
	Box   string
	Exact string // name.box, which is this host's wherever its name leads

	source Source // that knows it; set by the directory
}

// Unreachable says why a host cannot be entered now.
type Unreachable struct {
	Host  string
	Why   string // one line for the person, who is logged in by then
	Cause error  // for the log; may be nil

	// Details asks what more is known of why, to go behind Why; "" where nothing is.
	// It may be nil, and takes a few seconds at most.
	Details func(context.Context) string

	Box string // that the host was asked for on, by name.box; else empty

	// Unknown says that the source knows no such host at all.
	Unknown bool

	// Silent says who cannot tell whether there is such a host, and why: an engine, box
	// or cluster that does not answer, or refuses the gateway. It is "" where the source
	// can tell.
	Silent string

	// Patience is how long it is worth trying again, since the first try: 0
	// for what will not mend itself.
	Patience time.Duration
}

func (u *Unreachable) Error() string { return fmt.Sprintf("host %q %s", u.Host, u.Why) }
func (u *Unreachable) Unwrap() error { return u.Cause }

// NewUnreachable is an [Unreachable]; cause may be nil.
func NewUnreachable(host, why string, cause error) error {
	return &Unreachable{Host: host, Why: why, Cause: cause}
}

// Soon marks an error about a host as worth trying again for so long.
func Soon(err error, patience time.Duration) error {
	if why := AsUnreachable(err); why != nil {
		why.Patience = patience
	}
	return err
}

// AsUnreachable returns what an error says of a host; nil where it says nothing.
func AsUnreachable(err error) *Unreachable {
	unreachable, _ := errors.AsType[*Unreachable](err)
	return unreachable
}

// IsUnknown reports whether an error says that there is no such host.
func IsUnknown(err error) bool {
	why := AsUnreachable(err)
	return why != nil && why.Unknown
}

// IsSilent reports whether an error says that who knows the host does not tell.
func IsSilent(err error) bool {
	why := AsUnreachable(err)
	return why != nil && why.Silent != ""
}
