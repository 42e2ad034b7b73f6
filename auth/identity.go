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

	// ByCode is a code of the moment (RFC 6238), or one of those that recover;
	// it is asked for by keyboard-interactive (RFC 4256).
	ByCode Method = "code"
)

// Identity is what one successful attempt to log in proved: who the person is,
// and what that very attempt asked for. It says nothing about what the person
// may do on a host: a [Policy] does. What the credential itself forbids
// everywhere is in Permits.
type Identity struct {
	User   string // who proved to be so
	Login  Login  // what the successful attempt asked for
	Method Method

	// Credential tells which one of the user's credentials was shown: a key's
	// fingerprint as ssh-keygen -l prints it, and "" for the password.
	Credential string

	Certificate *ssh.Certificate // whose key was shown; nil: a key alone, or no key
	From        netip.Addr       // where the client is; invalid if that is not known
	Permits     *Permits         // of all steps; nil: everything
	NoTouch     bool             // the key, a security key, need not be touched

	// Before is the step before this one, where one was not enough; of the same
	// user, by the same login (see [Policy.After]).
	Before *Identity
}
