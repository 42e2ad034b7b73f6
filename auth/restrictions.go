package auth

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Restrictions are what a grant forbids on its hosts. The zero value forbids
// nothing; where anything is forbidden, so are channels and requests of kinds
// that are not named here.
type Restrictions struct {
	NoShell bool
	NoExec  bool
	NoSftp  bool
	NoAgent bool
	NoX11   bool

	NoLocal       bool // ssh -L, -D, -W and -J: direct-tcpip (RFC 4254 §7.2)
	NoRemote      bool // ssh -R: tcpip-forward (RFC 4254 §7.1)
	NoStreamlocal bool // unix sockets, both ways (OpenSSH's PROTOCOL §2.4)

	Commands     []string      // the only commands of exec, whole; nil: any
	ReadOnlySftp bool          // files can be read by sftp, and not changed
	Open         []Destination // where local forwards may lead; nil: anywhere
	Listen       []Destination // where remote forwards may listen; nil: anywhere
}

// RestrictAll forbids everything that can be named, as "restrict" does in an
// authorized_keys file.
func RestrictAll() Restrictions {
	return Restrictions{
		NoShell: true, NoExec: true, NoSftp: true, NoLocal: true,
		NoRemote: true, NoStreamlocal: true, NoAgent: true, NoX11: true,
	}
}

// Any reports whether anything is forbidden.
func (r Restrictions) Any() bool {
	return r.NoShell || r.NoExec || r.NoSftp || r.NoLocal || r.NoRemote || r.NoStreamlocal || r.NoAgent || r.NoX11 ||
		r.Commands != nil || r.ReadOnlySftp || r.Open != nil || r.Listen != nil
}

// MayExec reports whether a command may be run. Commands are compared whole: a
// shell would find a second command in what a pattern lets through.
func (r Restrictions) MayExec(command string) bool {
	return !r.NoExec && (r.Commands == nil || slices.Contains(r.Commands, command))
}

// MaySubsystem reports whether a subsystem may be started. One that is not sftp
// is a command like any other.
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

// MayListen reports whether a remote forward may listen at an address, as the
// client names it: "" are all addresses, port 0 is one that the host chooses.
func (r Restrictions) MayListen(host string, port uint32) bool {
	return !r.NoRemote && (r.Listen == nil || anyMatches(r.Listen, host, port))
}

// Covers reports whether nothing is forbidden by r that other allows.
func (r Restrictions) Covers(other Restrictions) bool {
	flags := [][2]bool{
		{r.NoShell, other.NoShell}, {r.NoExec, other.NoExec}, {r.NoSftp, other.NoSftp}, {r.NoLocal, other.NoLocal},
		{r.NoRemote, other.NoRemote}, {r.NoStreamlocal, other.NoStreamlocal}, {r.NoAgent, other.NoAgent},
		{r.NoX11, other.NoX11}, {r.ReadOnlySftp, other.ReadOnlySftp || other.NoSftp},
	}
	if slices.ContainsFunc(flags, func(f [2]bool) bool { return f[0] && !f[1] }) {
		return false
	}
	return (other.NoExec || covers(r.Commands, other.Commands)) &&
		(other.NoLocal || covers(r.Open, other.Open)) && (other.NoRemote || covers(r.Listen, other.Listen))
}

// covers compares lists of what is allowed; nil is everything.
func covers[T comparable](list, other []T) bool {
	if list == nil || other == nil {
		return list == nil
	}
	return !slices.ContainsFunc(other, func(item T) bool { return !slices.Contains(list, item) })
}

// Destination is an address that forwards may use.
type Destination struct {
	Host string // a name or an address, compared with what the client says and never looked up; "*": any
	Port uint32 // 0: any
}

var errDestination = errors.New("not a destination; write host:port, such as localhost:8888, with * for any host or port")

// ParseDestination reads host:port, with * for any host or any port, and an IPv6
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

// String is the destination in the form that [ParseDestination] reads.
func (d Destination) String() string {
	port := "*"
	if d.Port != 0 {
		port = strconv.Itoa(int(d.Port))
	}
	return net.JoinHostPort(d.Host, port)
}

func anyMatches(list []Destination, host string, port uint32) bool {
	return slices.ContainsFunc(list, func(d Destination) bool {
		return (d.Host == "*" || strings.EqualFold(d.Host, host)) && (d.Port == 0 || d.Port == port)
	})
}
