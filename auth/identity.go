package auth

import "net/netip"

// Method is how an identity was proved, named as in RFC 4252.
type Method string

const (
	ByPublicKey Method = "publickey"
	ByPassword  Method = "password"
)

// Identity is what one successful attempt to log in proved: who the person is,
// and what that very attempt asked for. It says nothing about what the person
// may do: a [Policy] does.
type Identity struct {
	User   string // who proved to be so
	Login  Login  // what the successful attempt asked for
	Method Method

	// Credential tells which one of the user's credentials was shown: a key's
	// fingerprint as ssh-keygen -l prints it, and for a password that of its
	// hash, which is another one after each change.
	Credential string

	// From is where the connection comes from. Whoever takes the connection sets
	// it; where it is not set, no grant with networks holds.
	From netip.Addr
}
