// Package helper is a machine on the other side of a container's wall: the small
// process that runs in there as one of its accounts, and the gateway's end of
// it.
//
// Inside, [Run] answers. Outside, [Client] gives a [machine.Machine] to each
// connection of a person; whatever the connection held is gone when that is
// closed. What the two say is in package messages, and how: by open descriptors,
// a pty's master or a connected socket (package descriptors), or by streams
// (package streams).
//
// # How the two sides meet
//
// The helper is started by an exec of the engine, and gets a nonce on its standard
// input; where an exec chooses no account, the line before that names the one that it
// becomes. It gives it back where the two can meet, the first that is possible:
//
//   - on the gateway's socket, where that is mounted into the container
//     ([Meetings]). This takes no privilege;
//   - on a pair of sockets of its own, of which it says the number: the gateway
//     takes that descriptor out of the process (pidfd_getfd(2)), as a debugger
//     may;
//   - nowhere: no descriptor can cross, as with an engine on another machine.
//     Then the two speak on streams that share the helper's standard ones.
//
// In the first two cases the standard streams are closed then, and no user
// data ever runs through the engine.
//
// # How it ends
//
// A helper that the gateway has let go of, or whose gateway is gone, lets go of
// all that it holds. It stays only while something lives that a session left
// running, as its parent, so that nothing becomes a zombie in a container
// whose first process reaps none.
//
// # Trust
//
// The container is not trusted. The gateway bounds every message and makes the
// pipes of a process itself; what else it does is said where it does it. A helper
// that lies harms the sessions of its own account only.
package helper
