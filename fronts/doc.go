// Package fronts keeps a front running: it starts the process that parses the network
// (package front), answers what that asks for, and starts another one when it ends. The
// connections of the former one end with it. No client is refused meanwhile: new ones wait
// in the queue of the listening socket, which this process has, too.
//
// # Trust
//
// A front is trusted as little as the clients that it talks to. It gets no secret but
// what people type. It can act only for an identity that was given out to it here, which
// a [messages.Proof] shows. What that identity may enter is decided here, by the policy in
// force, and what is opened is handed over as a connected descriptor. The front can have
// data signed while it runs, but gets no key.
//
// It is trusted in one thing: that a client which shows a public key has signed with it.
package fronts
