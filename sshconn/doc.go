// Package sshconn has what the gateway needs of SSH's connection protocol (RFC 4254)
// both where it relays a connection to a host's own sshd and where package session
// serves it: payloads of messages, copies of data, a connection's goroutines, and the
// order in which a session channel is closed.
//
// Every session channel is closed in one order, by one function (see [Output]):
// all of stdout and stderr, exit-status or exit-signal, one EOF, CLOSE.
package sshconn
