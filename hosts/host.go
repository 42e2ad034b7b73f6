package hosts

import (
	"errors"
	"fmt"
	"time"
)

// Host is a name that was looked up: what it meant at that moment.
type Host struct {
	Name      string
	Route     string // labels.RouteSshd, labels.RouteExec or labels.RouteLocal
	Account   string // the host's own account, for grants that name none; may be empty
	Container string // full id; empty where the host is none

	entry *Entry // where the configuration names it
}

// Unreachable says why a host cannot be entered now.
type Unreachable struct {
	Host  string
	Why   string // one line for the person, who is logged in by then
	Cause error  // for the log; may be nil

	// Patience is how long it is worth trying again, since the first try: 0
	// for what will not mend itself.
	Patience time.Duration
}

func (u *Unreachable) Error() string { return fmt.Sprintf("host %q %s", u.Host, u.Why) }
func (u *Unreachable) Unwrap() error { return u.Cause }

// comingBack is how long after its end a container is taken to be restarting,
// and how long after its start to be still starting up.
const comingBack = 20 * time.Second

// A host that runs may still be about to stop or to start over.
const brief = 3 * time.Second

// Of a container that was made just now the engine may still be about to tell.
const justMade = time.Second / 2

// soon marks an error as worth trying again for so long.
func soon(err error, patience time.Duration) error {
	var u *Unreachable
	if errors.As(err, &u) {
		u.Patience = patience
	}
	return err
}

func unreachable(host, why string, cause error) error {
	return &Unreachable{Host: host, Why: why, Cause: cause}
}
