package hosts

import "golang.org/x/crypto/ssh"

// Entry is a host that the configuration names: what labels cannot say. It
// goes before a label of the same name.
type Entry struct {
	Name    string
	Route   string // sshd, exec or local
	Account string // the account for grants that name none

	// For route sshd at an address (see [Addresses]).
	Address string        // host:port
	HostKey ssh.PublicKey // the key it must show
	Key     ssh.Signer    // how the gateway logs in; nil: a certificate of the user CA

	// For routes exec and sshd into a container that carries no labels (see
	// hosts/docker).
	Container string // name or id
	Box       string // that it is on; "": this machine's own
}

// How a host by route exec is entered: what happens in it is handed out as open
// descriptors, or as streams (see package helper).
const (
	ByDescriptors = "descriptors"
	ByStreams     = "streams"
)
