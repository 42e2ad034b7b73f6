// Package helper is a machine on the other side of a socket, or of streams: the small
// process that runs in a container as one of its accounts, and the gateway's
// end of it.
//
// Inside, [Run] answers requests with open descriptors: a pty master, a
// connected socket. Outside, [Client] gives a [machine.Machine] to each
// connection of a person; whatever the connection held is gone when that is
// closed.
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
//     Then the same is asked and answered on streams that share the helper's
//     standard ones (streams.go, streams_serve.go).
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
// container may share, and makes the pipes of a process itself. Of streams it
// alone opens any, each with a window, and a helper that does not end one that
// was let go of is given up. A helper that lies harms the sessions of its own
// account only.
//
// # Wire
//
// A message is a type byte and the fields in SSH's encoding (RFC 4251 §5). On
// sockets it is one SOCK_SEQPACKET message, with at most three descriptors
// (SCM_RIGHTS); on streams its length in four bytes goes before it. Messages are
// recorded in testdata, a file for each version (see [Major]).
package helper
