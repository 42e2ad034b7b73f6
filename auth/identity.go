package auth

import (
	"net/netip"

	"golang.org/x/crypto/ssh"
)

// Method is how an identity was proved, named as in RFC 4252.
type Method string

const (
	ByPublicKey Method = "publickey"
	ByPassword  Method = "password"

	// ByCode is a one-time code (RFC 6238) or a recovery code, asked for by
	// keyboard-interactive (RFC 4256).
	ByCode Method = "code"

	// ByApproval is an approval in a browser at an OpenID provider, asked for by
	// keyboard-interactive.
	ByApproval Method = "approval"
)

// Identity is what one successful attempt to log in proved: who the person is, and
// what that attempt asked for. It does not say what the person may do on a host,
// which a [Policy] decides. Restrictions has what the credential itself forbids on
// every host.
type Identity struct {
	User   string // the user that was proved
	Login  Login  // what the successful attempt asked for
	Method Method

	// Credential names the user's credential that was used: a key's fingerprint as
	// ssh-keygen -l prints it; for a password, the fingerprint of its hash, which
	// changes with the password; for a step that a service has judged, the person's
	// name there.
	Credential string

	Service Service  // which has judged the step; "": the policy
	Groups  []string // the person's groups at the service

	// From is the client's address, set by the code that accepts the connection. If
	// it is not set, no grant with networks is valid.
	From netip.Addr

	Certificate  *ssh.Certificate // the certificate that was used; nil: a key alone, or no key
	Restrictions *Restrictions    // of the credentials of all steps; nil: none
	NoTouch      bool             // the security key need not be touched

	// Proof shows a keeper in another process that it has given this identity out. It
	// is empty if there is only one process. This package does not use it.
	Proof string

	// Before is the proved step before this one, if one step was not enough. It is of
	// the same user and the same login (see [Policy.After]).
	Before *Identity
}
