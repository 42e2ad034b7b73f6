// Package patches holds Berth's own edits of golang.org/x/crypto: faults of its
// SSH that no hook reaches. They are made when a program is built, on a copy of
// the module that go.mod pins; nothing of the module's text is kept here but the
// few words by which an edit finds its place.
//
// all says what is edited and why, _ssh holds the code that the edits call,
// and Make writes the copy and a go.mod that leads to it. Everything in
// scripts/ and the Makefile builds with that go.mod; a plain "go build" works
// too, and makes programs that say they are unpatched.
//
// When upstream has an edit's like, the edit goes. When go.mod pins another
// version, Make fails until each edit was looked at again: see sums.
package patches

import "golang.org/x/crypto/ssh"

// Module is the path of the module that is edited.
const Module = "golang.org/x/crypto"

// Applied reports whether this program was built with the edits.
func Applied() bool {
	_, edited := any(&ssh.ServerConfig{}).(interface{ EditedByBerth() })
	return edited
}
