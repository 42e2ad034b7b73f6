// Package patches has Berth's own edits of golang.org/x/crypto: corrections of faults
// in its SSH for which it has no hook. They are made when a program is built, on a
// copy of the module that go.mod pins. Of the module's text only the few words are
// kept here by which an edit finds its place.
//
// all lists the edits with their reasons, _ssh has the code that the edits call, and
// Make writes the copy and a go.mod that leads to it. Everything in scripts/ and the
// Makefile builds with that go.mod. A plain "go build" works, too, and makes programs
// that say that they are unpatched.
//
// When upstream has made the same correction, the edit is removed. When go.mod pins
// another version, Make fails until each edit was checked again: see sums.
package patches

import "golang.org/x/crypto/ssh"

// Module is the path of the edited module.
const Module = "golang.org/x/crypto"

// Applied reports whether this program was built with the edits.
func Applied() bool {
	_, edited := any(&ssh.ServerConfig{}).(interface{ EditedByBerth() })
	return edited
}
