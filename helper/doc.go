// Package helper is a machine on the other side of a unix socket: the small
// process that runs in a container as one of its accounts, and the gateway's
// end of it.
//
// Inside, [Run] answers requests with open descriptors: a pty master, a
// connected socket. Outside, [Client] opens a [machine.Machine] per connection
// of a person; its socket is the machine's life, so whatever a connection held
// is gone when it is closed.
//
// # How the two sides meet
//
// The helper is started by docker exec, and gets a nonce on its standard
// input. It gives it back where the two can meet, the first that is possible:
//
//   - on the gateway's socket, where that is mounted into the container
//     ([Meetings]). This takes no privilege;
//   - on a pair of sockets of its own, of which it says the number: the gateway
//     takes that descriptor out of the process (pidfd_getfd(2)), as a debugger
//     may;
//   - nowhere: no descriptor can cross, as with an engine on another machine.
//     Then the helper is an SSH server itself, on its standard streams, a
//     stream for each connection of a person (streams.go).
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
// The container is not trusted. The gateway bounds every message, checks the
// kind of every descriptor before use, never waits in a call on one that the
// container may share, and makes the pipes of a process itself. A helper that
// lies harms the sessions of its own account only.
//
// # Wire
//
// One SOCK_SEQPACKET message is a type byte and the fields in SSH's encoding
// (RFC 4251 §5), with at most three descriptors (SCM_RIGHTS).
package helper
