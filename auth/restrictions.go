package auth

import (
	"cmp"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Restrictions say what a grant forbids on its hosts, or a credential on every host.
// The zero value forbids nothing. If anything is forbidden, so are all kinds of
// channels and requests that are not named here.
type Restrictions struct {
	NoShell  bool
	NoExec   bool
	NoSftp   bool
	NoPty    bool
	NoAgent  bool
	NoX11    bool
	NoUserRC bool // ~/.ssh/rc is not run

	NoLocal       bool // ssh -L, -D, -W and -J: direct-tcpip (RFC 4254 §7.2)
	NoRemote      bool // ssh -R: tcpip-forward (RFC 4254 §7.1)
	NoStreamlocal bool // unix sockets, in both directions (OpenSSH's PROTOCOL §2.4)

	Forced       string   // the command that takes the place of every other; "": none
	Commands     []string // the only commands that may be run, compared whole; nil: any
	ReadOnlySftp bool     // sftp can read files, but not change them

	// SftpDirectory is the directory that sftp shows as /, with nothing outside of
	// it; "": all.
	SftpDirectory string

	Open   []Destination // where local forwards may lead; nil: anywhere
	Listen []Destination // where remote forwards may listen; nil: anywhere
}

// InternalSftp is the forced command that stands for the subsystem sftp
// (sshd_config(5), ForceCommand).
const InternalSftp = "internal-sftp"

// RestrictAll returns restrictions that forbid everything that can be forbidden.
func RestrictAll() Restrictions {
	return Restrictions{
		NoShell: true, NoExec: true, NoSftp: true, NoLocal: true,
		NoRemote: true, NoStreamlocal: true, NoAgent: true, NoX11: true,
	}
}

// Any reports whether anything is forbidden.
func (r Restrictions) Any() bool {
	return r.NoShell || r.NoExec || r.NoSftp || r.NoPty || r.NoUserRC || r.NoLocal || r.NoRemote || r.NoStreamlocal ||
		r.NoAgent || r.NoX11 || r.Forced != "" || r.Commands != nil || r.LimitsSftp() || r.Open != nil || r.Listen != nil
}

// LimitsSftp reports whether sftp is allowed with limits, which a host's own sshd
// cannot enforce.
func (r Restrictions) LimitsSftp() bool { return r.ReadOnlySftp || r.SftpDirectory != "" }

// MayExec reports whether a command may be run. Commands are compared whole: a
// pattern would let a second command through to the shell.
func (r Restrictions) MayExec(command string) bool {
	return !r.NoExec && (r.Commands == nil || slices.Contains(r.Commands, command))
}

// MaySubsystem reports whether a subsystem may be started. One other than sftp is
// treated as a command.
func (r Restrictions) MaySubsystem(name string) bool {
	if name == "sftp" {
		return !r.NoSftp
	}
	return !r.NoExec && r.Commands == nil
}

// MayOpen reports whether a local forward may lead to an address.
func (r Restrictions) MayOpen(host string, port uint32) bool {
	return !r.NoLocal && (r.Open == nil || anyMatches(r.Open, host, port))
}

// MayListen reports whether a remote forward may listen at an address, as the client
// names it: "" stands for all addresses, port 0 for one that the host chooses.
func (r Restrictions) MayListen(host string, port uint32) bool {
	return !r.NoRemote && (r.Listen == nil || anyMatches(r.Listen, host, port))
}

// Covers reports whether other allows no more than r does.
func (r Restrictions) Covers(other Restrictions) bool {
	flags := [][2]bool{
		{r.NoShell, other.NoShell}, {r.NoExec, other.NoExec}, {r.NoSftp, other.NoSftp}, {r.NoLocal, other.NoLocal},
		{r.NoRemote, other.NoRemote}, {r.NoStreamlocal, other.NoStreamlocal}, {r.NoAgent, other.NoAgent},
		{r.NoX11, other.NoX11}, {r.NoPty, other.NoPty}, {r.NoUserRC, other.NoUserRC}, {r.ReadOnlySftp, other.ReadOnlySftp || other.NoSftp},
	}
	if slices.ContainsFunc(flags, func(f [2]bool) bool { return f[0] && !f[1] }) {
		return false
	}
	if r.Forced != "" && r.Forced != other.Forced || r.SftpDirectory != "" && r.SftpDirectory != other.SftpDirectory && !other.NoSftp {
		return false
	}
	return (other.NoExec || covers(r.Commands, other.Commands, same)) &&
		(other.NoLocal || covers(r.Open, other.Open, Destination.and)) && (other.NoRemote || covers(r.Listen, other.Listen, Destination.and))
}

// covers compares lists of what is allowed, where nil is everything. An item covers
// another one if what both have in common is all of the other.
func covers[T comparable](list, other []T, and func(T, T) (T, bool)) bool {
	if list == nil || other == nil {
		return list == nil
	}
	covered := func(item T) bool {
		return slices.ContainsFunc(list, func(by T) bool {
			common, ok := and(item, by)
			return ok && common == item
		})
	}
	return !slices.ContainsFunc(other, func(item T) bool { return !covered(item) })
}

// orNone returns the restrictions, or none if r is nil.
func (r *Restrictions) orNone() Restrictions {
	if r == nil {
		return Restrictions{}
	}
	return *r
}

// And returns restrictions that forbid what either of the two forbids; nil forbids
// nothing. ok is false if the two force different commands or show different
// directories: then nothing is allowed by both.
func (r *Restrictions) And(other *Restrictions) (both *Restrictions, ok bool) {
	switch {
	case r == nil || !r.Any():
		return other, true
	case other == nil || !other.Any():
		return r, true
	case r.Forced != "" && other.Forced != "" && r.Forced != other.Forced,
		r.SftpDirectory != "" && other.SftpDirectory != "" && r.SftpDirectory != other.SftpDirectory:
		return nil, false
	}
	return &Restrictions{
		NoShell:       r.NoShell || other.NoShell,
		NoExec:        r.NoExec || other.NoExec,
		NoSftp:        r.NoSftp || other.NoSftp,
		NoPty:         r.NoPty || other.NoPty,
		NoAgent:       r.NoAgent || other.NoAgent,
		NoX11:         r.NoX11 || other.NoX11,
		NoUserRC:      r.NoUserRC || other.NoUserRC,
		NoLocal:       r.NoLocal || other.NoLocal,
		NoRemote:      r.NoRemote || other.NoRemote,
		NoStreamlocal: r.NoStreamlocal || other.NoStreamlocal,
		ReadOnlySftp:  r.ReadOnlySftp || other.ReadOnlySftp,
		SftpDirectory: cmp.Or(r.SftpDirectory, other.SftpDirectory),
		Forced:        cmp.Or(r.Forced, other.Forced),
		Commands:      inBoth(r.Commands, other.Commands, same),
		Open:          inBoth(r.Open, other.Open, Destination.and),
		Listen:        inBoth(r.Listen, other.Listen, Destination.and),
	}, true
}

// inBoth returns what is in both lists; and returns what two items have in common. A
// nil list has everything.
func inBoth[T comparable](a, b []T, and func(T, T) (T, bool)) []T {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	both := []T{}
	for _, x := range a {
		for _, y := range b {
			if item, ok := and(x, y); ok && !slices.Contains(both, item) {
				both = append(both, item)
			}
		}
	}
	return both
}

func same(a, b string) (string, bool) { return a, a == b }

// Destination is an address that forwards may use.
type Destination struct {
	Host string // a name or an address, compared with what the client says and never looked up; "*": any
	Port uint32 // 0: any
}

var errDestination = errors.New("not a destination; write host:port, such as localhost:8888, with * for any host or port")

// ParseDestination parses host:port, with * for any host or any port, and an IPv6
// address in brackets.
func ParseDestination(s string) (Destination, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || len(host) > 255 || strings.ContainsAny(host, " \t/@") || strings.Contains(host, "*") && host != "*" {
		return Destination{}, errDestination
	}
	if port == "*" {
		return Destination{Host: host}, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return Destination{}, errDestination
	}
	return Destination{Host: host, Port: uint32(number)}, nil
}

// String returns the destination in the form that [ParseDestination] parses.
func (d Destination) String() string {
	port := "*"
	if d.Port != 0 {
		port = strconv.Itoa(int(d.Port))
	}
	return net.JoinHostPort(d.Host, port)
}

// and returns what two destinations have in common.
func (d Destination) and(other Destination) (Destination, bool) {
	switch {
	case d.Host == "*":
		d.Host = other.Host
	case other.Host != "*" && !strings.EqualFold(d.Host, other.Host):
		return Destination{}, false
	}
	switch {
	case d.Port == 0:
		d.Port = other.Port
	case other.Port != 0 && d.Port != other.Port:
		return Destination{}, false
	}
	return d, true
}

func anyMatches(list []Destination, host string, port uint32) bool {
	return slices.ContainsFunc(list, func(d Destination) bool {
		return (d.Host == "*" || strings.EqualFold(d.Host, host)) && (d.Port == 0 || d.Port == port)
	})
}
