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

	// ByApproval is an approval in a browser, at an OpenID provider; it is asked
	// for by keyboard-interactive.
	ByApproval Method = "approval"
)

// Identity is what one successful attempt to log in proved: who the person is,
// and what that very attempt asked for. It says nothing about what the person
// may do on a host: a [Policy] does. What the credential itself forbids on every
// host is in Restrictions.
type Identity struct {
	User   string // who proved to be so
	Login  Login  // what the successful attempt asked for
	Method Method

	// Credential tells which one of the user's credentials was shown: a key's
	// fingerprint as ssh-keygen -l prints it, and for a password that of its
	// hash, which is another one after each change. Where a service has judged the
	// step, it is the person's name there.
	Credential string

	Service Service  // which has judged the step; "": the policy
	Groups  []string // that the service says the person is in

	// From is where the connection comes from. Whoever takes the connection sets
	// it; where it is not set, no grant with networks holds.
	From netip.Addr

	Certificate  *ssh.Certificate // whose key was shown; nil: a key alone, or no key
	Restrictions *Restrictions    // of all steps' credentials; nil: none
	NoTouch      bool             // the key, a security key, need not be touched

	// Proof is by what a keeper in another process knows that it has given this
	// identity out. It is empty where all is one process, and nothing of auth's looks at
	// it.
	Proof string

	// Before is the step before this one, where one was not enough; of the same
	// user, by the same login (see [Policy.After]).
	Before *Identity
}
