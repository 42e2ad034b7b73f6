// Package fronts keeps a front running. It starts the process that parses the network
// (package front), answers its questions, and starts another one when it ends. The
// connections of a front end with it. New clients are not refused meanwhile: they
// wait in the queue of the listening socket, which this process holds, too.
//
// # Trust
//
// A front is trusted as little as the clients that it talks to. The only secrets that
// it gets are those that people type. It can act only for identities that it was
// given here, each with a [messages.Proof]. What such an identity may enter is
// decided here, by the policy in force, and an opened host is handed over as a
// connected descriptor. The front can have data signed while it runs, but never gets
// a key.
//
// It is trusted in one point: when it says that a client has signed with a public
// key.
package fronts
