// Package session is an SSH server's half of the connection protocol
// (RFC 4254) against a machine: sessions with and without a pty, subsystems,
// agents, X11, and forwards of TCP ports and unix sockets both ways.
//
// [Serve] takes an authenticated connection and answers it until it ends. All
// it needs of the place where things happen is a [machine.Machine]: start this
// process, dial this address, listen there. What Serve holds of it is what keeps
// a session alive: when it lets go, the pty is hung up and the pipes are closed,
// as with sshd.
package session
