// Package session is the server's side of SSH's connection protocol (RFC 4254) for a
// machine: sessions with and without a pty, subsystems, agents, X11, and forwards of
// TCP ports and unix sockets in both directions.
//
// [Serve] takes an authenticated connection and answers it until it ends. It does all
// that the client asks for through a [machine.Machine], which starts processes, dials
// addresses and listens on them. A session lives as long as Serve holds its pty or
// its pipes. When Serve releases them, the pty is hung up and the pipes are closed,
// as with sshd.
package session
