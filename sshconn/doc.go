// Package sshconn is what both mechanisms of the gateway share of an SSH
// connection (RFC 4254), whether it is relayed to a host's own sshd or served
// by package session: payloads of messages, copies of data, the goroutines of
// a connection, and the order in which a session channel is closed.
//
// Every session channel is closed in one order, by one function (see [Output]):
// all of stdout and stderr, exit-status or exit-signal, one EOF, CLOSE.
package sshconn
