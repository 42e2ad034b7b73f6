package auth

import (
	"slices"

	"golang.org/x/crypto/ssh"
)

// Permits is what a credential permits, by the options of its line in an
// authorized_keys file or by its certificate. It holds on every host and
// whatever is granted there. A nil *Permits permits everything; the zero value
// does, too. It never changes.
type Permits struct {
	NoPty        bool
	NoForwarding bool // of ports and unix sockets, both ways
	NoAgent      bool
	NoX11        bool
	NoUserRC     bool // ~/.ssh/rc, which an sshd runs

	Open    []Destination // where local forwards may lead; nil: anywhere
	Listen  []Destination // where remote forwards may listen; nil: anywhere
	Command string        // takes the place of every command; "": none does
}

// InternalSftp is the command that stands for the subsystem sftp (sshd_config(5),
// ForceCommand).
const InternalSftp = "internal-sftp"

// All reports whether everything is permitted.
func (p *Permits) All() bool {
	return p == nil || !p.NoPty && !p.NoForwarding && !p.NoAgent && !p.NoX11 && !p.NoUserRC &&
		p.Open == nil && p.Listen == nil && p.Command == ""
}

// MayPty reports whether a session may have a terminal.
func (p *Permits) MayPty() bool { return p == nil || !p.NoPty }

// MayAgent reports whether the client's agent may be reached from the host.
func (p *Permits) MayAgent() bool { return p == nil || !p.NoAgent }

// MayX11 reports whether the client's display may be reached from the host.
func (p *Permits) MayX11() bool { return p == nil || !p.NoX11 }

// MayUserRC reports whether an sshd may run ~/.ssh/rc.
func (p *Permits) MayUserRC() bool { return p == nil || !p.NoUserRC }

// MayOpen reports whether a local forward may lead to an address, as the client
// names it. Nothing is looked up.
func (p *Permits) MayOpen(host string, port uint32) bool {
	return p == nil || !p.NoForwarding && (p.Open == nil || anyMatches(p.Open, host, port))
}

// MayListen reports whether a remote forward may listen at an address, as the
// client names it: "" is every address, port 0 one that the host chooses.
func (p *Permits) MayListen(host string, port uint32) bool {
	return p == nil || !p.NoForwarding && (p.Listen == nil || anyMatches(p.Listen, host, port))
}

// MayOpenSocket reports whether a local forward may lead to a unix socket: not
// where addresses are listed, since a socket is at none of them.
func (p *Permits) MayOpenSocket() bool { return p == nil || !p.NoForwarding && p.Open == nil }

// MayListenSocket is MayOpenSocket for remote forwards.
func (p *Permits) MayListenSocket() bool { return p == nil || !p.NoForwarding && p.Listen == nil }

// MayListenAny reports whether there is any address to listen at.
func (p *Permits) MayListenAny() bool { return p == nil || !p.NoForwarding }

// Forced is the command that takes the place of every other one; "" if none does.
func (p *Permits) Forced() string {
	if p == nil {
		return ""
	}
	return p.Command
}

// And is what both permit. It is not ok if the two force different commands:
// then nothing can be started that both permit.
func (p *Permits) And(other *Permits) (both *Permits, ok bool) {
	switch {
	case p.All():
		return other, true
	case other.All():
		return p, true
	case p.Command != "" && other.Command != "" && p.Command != other.Command:
		return nil, false
	}
	both = &Permits{
		NoPty:        p.NoPty || other.NoPty,
		NoForwarding: p.NoForwarding || other.NoForwarding,
		NoAgent:      p.NoAgent || other.NoAgent,
		NoX11:        p.NoX11 || other.NoX11,
		NoUserRC:     p.NoUserRC || other.NoUserRC,
		Open:         inBoth(p.Open, other.Open),
		Listen:       inBoth(p.Listen, other.Listen),
		Command:      p.Command,
	}
	if both.Command == "" {
		both.Command = other.Command
	}
	return both, true
}

// inBoth are the destinations that both lists have; a nil list has all.
func inBoth(a, b []Destination) []Destination {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	both := []Destination{}
	for _, x := range a {
		for _, y := range b {
			if d, ok := x.and(y); ok && !slices.Contains(both, d) {
				both = append(both, d)
			}
		}
	}
	return both
}

// certificatePermits is what the extensions and the force-command of a
// certificate permit (OpenSSH's PROTOCOL.certkeys): what is not named is not
// permitted.
func certificatePermits(certificate *ssh.Certificate) *Permits {
	lacks := func(extension string) bool {
		_, has := certificate.Extensions[extension]
		return !has
	}
	return &Permits{
		NoPty:        lacks("permit-pty"),
		NoForwarding: lacks("permit-port-forwarding"),
		NoAgent:      lacks("permit-agent-forwarding"),
		NoX11:        lacks("permit-X11-forwarding"),
		NoUserRC:     lacks("permit-user-rc"),
		Command:      certificate.CriticalOptions[forceCommand],
	}
}
