package auth

import (
	"net/netip"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

// The critical options of a certificate that the gateway enforces (OpenSSH's
// PROTOCOL.certkeys). A certificate with any other is refused.
const (
	forceCommand  = "force-command"
	sourceAddress = "source-address"

	noTouchRequired = "no-touch-required" // an extension
)

// certificate identifies a user by a certificate whose key was proved, or returns
// [ErrDenied]. It checks the certificate before it looks the user up, so that the
// time does not tell a stranger with a forged one whether the user exists.
func (p *Policy) certificate(l Login, certificate *ssh.Certificate, from netip.Addr) (Identity, error) {
	if !isUsable(certificate) || p.revoked.has(certificate) {
		return Identity{}, ErrDenied
	}
	known := p.users[l.User]
	for _, line := range p.authoritiesFor(certificate.SignatureKey, l.User) {
		restrictions, ok := line.certifies(certificate, from, p.now())
		if !ok || known == nil {
			continue
		}
		_, noTouch := certificate.Extensions[noTouchRequired]
		return Identity{
			User: l.User, Login: l, Method: ByPublicKey, From: from,
			Credential:   ssh.FingerprintSHA256(certificate.Key),
			Certificate:  certificate,
			Restrictions: restrictions,
			NoTouch:      noTouch,
		}, nil
	}
	return Identity{}, ErrDenied
}

// isUsable reports whether a certificate is a user certificate, with keys that are
// strong enough and no SHA-1 signature.
func isUsable(c *ssh.Certificate) bool {
	return c.CertType == ssh.UserCert && checkKey(c.Key) == nil && checkKey(c.SignatureKey) == nil &&
		c.Signature != nil && c.Signature.Format != ssh.KeyAlgoRSA
}

// authoritiesFor returns the lines by which a key may certify a user, the user's own
// lines first.
func (p *Policy) authoritiesFor(key ssh.PublicKey, user string) []Authorized {
	var all []Authorized
	for _, line := range p.keys.linesOf(key, user) {
		if line.Authority {
			if line.Principals == nil {
				line.Principals = []string{user}
			}
			all = append(all, line)
		}
	}
	if p.isAuthority(key) {
		principals := []string{user}
		if known := p.users[user]; known != nil {
			principals = known.principals
		}
		all = append(all, Authorized{Key: key, Authority: true, Principals: principals, NoTouch: true})
	}
	return all
}

func (p *Policy) isAuthority(key ssh.PublicKey) bool {
	return slices.ContainsFunc(p.authorities, func(trusted ssh.PublicKey) bool { return isSameKey(trusted, key) })
}

// principal returns the name by which a certificate is valid for an authority's line.
// The certificate must name one of the line's principals exactly. One without
// principals, which once stood for everybody, is not valid.
func (a Authorized) principal(certificate *ssh.Certificate) (name string, ok bool) {
	i := slices.IndexFunc(a.Principals, func(name string) bool {
		return name != "" && slices.Contains(certificate.ValidPrincipals, name)
	})
	if i < 0 {
		return "", false
	}
	return a.Principals[i], true
}

func (a Authorized) names(certificate *ssh.Certificate) bool {
	_, ok := a.principal(certificate)
	return ok
}

// certifies reports whether a certificate is valid now for an authority's line, and
// returns what the two forbid together.
func (a Authorized) certifies(certificate *ssh.Certificate, from netip.Addr, now time.Time) (*Restrictions, bool) {
	principal, named := a.principal(certificate)
	if !named || !a.admits(from, now) || !mayCome(certificate, from) {
		return nil, false
	}
	if _, noTouch := certificate.Extensions[noTouchRequired]; noTouch && !a.NoTouch {
		return nil, false // x/crypto would accept no-touch-required from the certificate alone
	}
	checker := ssh.CertChecker{
		SupportedCriticalOptions: []string{forceCommand, sourceAddress},
		Clock:                    func() time.Time { return now },
	}
	if checker.CheckCert(principal, certificate) != nil {
		return nil, false
	}
	if _, err := parseForced(certificate.CriticalOptions[forceCommand]); err != nil {
		return nil, false
	}
	return a.Restrictions.And(restrictionsOf(certificate))
}

// restrictionsOf returns what a certificate forbids: everything that its extensions
// do not permit, and every command but its force-command (OpenSSH's
// PROTOCOL.certkeys).
func restrictionsOf(certificate *ssh.Certificate) *Restrictions {
	lacks := func(extension string) bool {
		_, has := certificate.Extensions[extension]
		return !has
	}
	noForwarding := lacks("permit-port-forwarding")
	return &Restrictions{
		NoPty:         lacks("permit-pty"),
		NoLocal:       noForwarding,
		NoRemote:      noForwarding,
		NoStreamlocal: noForwarding,
		NoAgent:       lacks("permit-agent-forwarding"),
		NoX11:         lacks("permit-X11-forwarding"),
		NoUserRC:      lacks("permit-user-rc"),
		Forced:        certificate.CriticalOptions[forceCommand],
	}
}

// mayCome checks the certificate's source-address.
func mayCome(certificate *ssh.Certificate, from netip.Addr) bool {
	list, limited := certificate.CriticalOptions[sourceAddress]
	if !limited {
		return true
	}
	sources, err := ParseSources(list)
	return err == nil && sources.Has(from)
}
