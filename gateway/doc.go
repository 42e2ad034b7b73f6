// Package gateway is SSH in and a host out.
//
// Read (*conn).serve first: it is the life of a connection, top to bottom. A
// person is authenticated, a host is chosen and reached, and then one of two
// mechanisms serves the client until either side is gone:
//
//   - The host has an sshd. One connection to it is opened, and every channel and
//     request is relayed 1:1 (route_sshd.go, relay.go).
//   - The host is a machine: processes can be started in it. The gateway is its sshd
//     (route_machine.go, package session).
//
// # Invariants
//
// Identity is one value, the [auth.Identity] of the attempt that succeeded. It
// travels in that attempt's Permissions and is never remembered on the side. What
// it may enter is decided by the policy in force when its host is looked up, and
// again whenever another policy comes into force (grants.go): connections that are
// not granted any more are ended. What may be done on the host is decided by one gate
// before both mechanisms (package gate), for the grant and for the credential.
//
// Where a login takes several steps, what was proved travels in the callbacks of
// the next one (steps.go). What passes the gate is written to the audit file, if
// there is one (audit.go): what cannot be written is refused.
//
// The gateway dials and listens to nothing on behalf of a user: forwards begin and
// end inside the host.
//
// A session channel is closed in one order, by sshconn.Output: all stdout and
// stderr, exit-status or exit-signal, one EOF, CLOSE.
//
// A connection's goroutines are started by its sshconn.Tasks: serve waits for
// them, and a panic in one ends that connection only. Outside of them run the
// writer of each wire, which ends when the wire is closed, and functions that do
// no more than close or cancel something when a context ends. No goroutine that
// reads a connection writes to it without a queue: see package wire.
//
// Identities, grants and hosts come from an interface of this package's own, [Keeper],
// which may be in another process (package front).
//
// A connection that is logged in is one of the server's live connections ([Live]),
// and can be ended with a reason ([Server.End]). What goes on in its channels is
// counted (activity.go). A message can be shown on every terminal ([Server.Wall]).
//
// A login waits for a host that is restarting before its first channel is answered
// (reach.go). Each of the two connections has its own keepalive: a peer that gives no
// sign of life is gone.
//
// After login, a refusal is one readable line on the first session's stderr
// and exit status 255. Before login, everything that fails looks the same.
//
// The package is larger than others here, because every part of it serves one function,
// (*conn).serve.
package gateway
