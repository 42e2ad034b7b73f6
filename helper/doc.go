// Package helper is a machine on the other side of a unix socket: the small
// process that runs in a container as one of its accounts, and the gateway's
// end of it.
//
// Inside, [Run] answers requests with open descriptors: a pty master, a
// connected socket, a listener. Outside, [Client] hands out a
// [session.Machine] per connection of a person; its socket is the machine's
// life, so whatever a connection held is gone when it is closed.
//
// # How the two sides meet
//
// No socket stands in the container's file system, where another account could
// connect to it or a link could lead the gateway astray. The helper makes a
// pair of sockets and says on its standard output which descriptor is the far
// end; the gateway takes that descriptor out of the process (pidfd_getfd(2))
// and sends through it the one end of a pair of its own. A nonce, given on
// standard input and returned through that pair, proves that the process is
// the one that was started. After that, standard streams are closed: no user
// data ever runs through the engine.
//
// # Trust
//
// The container is not trusted. The gateway bounds every message, checks the
// kind of every descriptor before use, and makes the pipes of a process
// itself. A helper that lies harms the sessions of its own account only.
//
// # Wire
//
// One SOCK_SEQPACKET message is a type byte and the fields in SSH's encoding
// (RFC 4251 §5), with at most three descriptors (SCM_RIGHTS).
package helper
