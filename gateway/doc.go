// Package gateway is an SSH server in front of hosts: a client logs in and is led to
// its host.
//
// Read (*conn).serve first: it runs a connection's life, top to bottom. A person is
// authenticated, a host is chosen and reached, and then one of two mechanisms serves
// the client until either side is gone:
//
//   - The host has an sshd. One connection to it is opened, and every channel and
//     request is relayed 1:1 (route_sshd.go, relay.go).
//   - The host is a machine: processes can be started in it. The gateway is its sshd
//     (route_machine.go, package session).
//
// # Invariants
//
// Identity is one value, the [auth.Identity] of the attempt that succeeded. It
// travels in that attempt's Permissions and is stored nowhere else. The policy in
// force decides what it may enter, when its host is looked up, and again whenever
// another policy comes into force (grants.go): connections that are not granted any
// more are ended. What may be done on the host is decided by one gate in front of
// both mechanisms (package gate), which applies the limits of the grant and of the
// credential.
//
// Where a login takes several steps, each proved step travels in the callbacks of the
// next one (steps.go). Everything that passes the gate is written to the audit file,
// if there is one (audit.go); what cannot be written is refused.
//
// The gateway neither dials nor listens in its own network on behalf of a user:
// forwards begin and end inside the host.
//
// A session channel is closed in one order, by sshconn.Output: all stdout and
// stderr, exit-status or exit-signal, one EOF, CLOSE.
//
// A connection's goroutines are started by its sshconn.Tasks: serve waits for them,
// and a panic in one ends only that connection. Only two kinds run outside of it: the
// writer of each wire, which ends when the wire is closed, and functions that close
// or cancel something when a context ends. A goroutine that reads a connection writes
// to it only through a queue: see package wire.
//
// Identities, grants and hosts come from an interface of this package's own, [Keeper],
// which may be in another process (package front).
//
// A connection that is logged in is one of the server's live connections ([Live]),
// and can be ended with a reason ([Server.End]). The activity of its channels is
// counted (activity.go). [Server.Wall] shows a message on every terminal.
//
// A login waits for a host that is restarting, before its first channel is answered
// (reach.go). Both connections, the client's and the one to the host, have a
// keepalive of their own: a peer that does not answer is taken for gone.
//
// After the login, a refusal is one readable line on the first session's stderr and
// exit status 255. Before the login, all failures look the same.
//
// The package is larger than others here because every part of it serves one
// function, (*conn).serve.
package gateway
