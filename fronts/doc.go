// Package fronts keeps a front: it starts the process that parses the network (package
// front), answers what that asks for, and starts another one when it ends. The former
// one's connections end with it then, and nobody else is refused meanwhile: who connects
// waits in the queue of the listening socket, which this process has, too.
//
// # Trust
//
// A front is believed as little as the clients that it talks to. It is given no secret
// but what people type. An identity that it speaks for must be one that was given out
// to it here, which a [messages.Proof] shows; what that may enter is decided here, by
// the policy of the moment; and what is opened is handed over as a connected
// descriptor. It can have things signed as long as it runs, and takes no key away.
//
// It is believed in one thing: that whoever shows a public key has signed with it.
package fronts
