// Package helper gives the gateway a machine inside a container. It has both ends of
// it: a small process that runs in the container as one of its accounts, and the
// gateway's client of that process.
//
// Inside, [Run] answers. Outside, a [Client] gives a [machine.Machine] to each
// connection of a person; when that machine is closed, everything that the connection
// held is released. Package messages defines what the two ends say. They say it in
// one of two ways: with open descriptors, such as a pty's master or a connected
// socket (package descriptors), or with streams (package streams).
//
// # How the two sides meet
//
// An exec of the engine starts the helper and writes a nonce to its standard input.
// Where an exec cannot choose an account, the line before the nonce names the account
// that the helper changes to. The helper then sends the nonce back. It uses the first
// of these ways that works:
//
//   - over the gateway's socket, where that is mounted into the container ([Meetings]). This
//
// needs no privilege;
//   - over a socket pair of its own, whose descriptor number it prints. The gateway takes
//
// that descriptor out of the process (pidfd_getfd(2)), as a debugger may;
//   - not at all, where no descriptor can cross, as with an engine on another machine. Then
//
// both ends use streams that share the helper's standard input and output.
//
// In the first two cases the standard streams are closed after the meeting, and no
// user data ever runs through the engine.
//
// # How it ends
//
// When the gateway releases the helper, or is gone, the helper closes all that it
// holds. It lives on only as long as processes live that sessions left running. It is
// their parent and reaps them, since the first process of a container often reaps
// nobody.
//
// # Trust
//
// The container is not trusted. The gateway bounds every message and makes the pipes
// of a process itself; further precautions are described where they are taken. A
// helper that lies harms only the sessions of its own account.
package helper
