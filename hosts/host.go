package hosts

import "fmt"

// Host is a name that was looked up: what it meant at that moment.
type Host struct {
	Name      string
	Route     string // RouteSshd, RouteExec or RouteLocal
	Account   string // the host's own account, for grants that name none; may be empty
	Container string // full id; empty where the host is none

	entry *Entry // where the configuration names it
}

// Unreachable says why a host cannot be entered now.
type Unreachable struct {
	Host  string
	Why   string // one line for the person, who is logged in by then
	Cause error  // for the log; may be nil
}

func (u *Unreachable) Error() string { return fmt.Sprintf("host %q %s", u.Host, u.Why) }
func (u *Unreachable) Unwrap() error { return u.Cause }

func unreachable(host, why string, cause error) error {
	return &Unreachable{Host: host, Why: why, Cause: cause}
}
