package auth

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
	// fingerprint as ssh-keygen -l prints it, and "" for the password.
	Credential string
}
