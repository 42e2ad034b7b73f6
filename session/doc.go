// Package session is an SSH server's half of the connection protocol
// (RFC 4254) against a machine: sessions with and without a pty, subsystems,
// agents, X11, and forwards of TCP ports and unix sockets both ways.
//
// [Serve] takes an authenticated connection and answers it until it ends. All
// it needs of the place where things happen is a [machine.Machine]: start this
// process, dial this address, listen there. A machine gives open descriptors,
// so bytes run between the client's channel and the process's own pipe, and
// what Serve holds is what keeps a session alive: when it lets go, the kernel
// hangs up the pty and closes the pipes, as with sshd.
package session
