package hosts

import "golang.org/x/crypto/ssh"

// Entry is a host in the configuration, with what labels cannot say. It takes
// precedence over a label with the same name.
type Entry struct {
	Name    string
	Route   string // sshd, exec or local
	Account string // the account for grants that name none

	// For route sshd with an address (see [Addresses]).
	Address string        // host:port
	HostKey ssh.PublicKey // the key that the sshd must show
	Key     ssh.Signer    // to log in with; nil: use a certificate of the user CA

	// For routes exec and sshd to a container without labels (see hosts/docker).
	Container string // name or id
	Box       string // that it is on; "": this machine's own
}

// How a host with route exec is entered: by open descriptors, or by streams (see
// package helper).
const (
	ByDescriptors = "descriptors"
	ByStreams     = "streams"
)
