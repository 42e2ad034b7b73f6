// Package gateway is SSH in and a host out.
//
// Read (*conn).serve first: it is the life of a connection, top to bottom. A
// person is authenticated, a host is chosen and reached, and then one of two
// mechanisms runs until either side is gone:
//
//   - join: the host speaks SSH, by its own sshd. One connection to it is opened
//     and every channel and request is relayed 1:1 (join.go, relay.go).
//   - be: the host is a machine. The gateway is its sshd (be.go, package session).
//
// # Invariants
//
// Identity is one value, the [auth.Identity] of the attempt that succeeded. It
// travels in that attempt's Permissions and is never remembered on the side. What
// it may enter is decided by the policy in force when its host is looked up, and
// decided again whenever another policy comes into force (grants.go): who may not
// go on is ended. What may be done there is held back by one gate before both
// mechanisms (package gate), and so is what the credential itself forbids.
//
// Where a login takes several steps, what was proved travels in the callbacks of
// the next one (steps.go). What passes the gate is written down where there is an
// audit file (audit.go): what cannot be written does not happen.
//
// Nothing is dialled or listened to from here on behalf of a user: forwards
// live inside the host.
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
// Who somebody is, what is granted, and hosts come from an interface of this package's
// own ([Keeper]), which may be of another process (package front).
//
// A person who is logged in is one of the server's live connections ([Live]), and
// can be ended with a reason ([Server.End]) until the connection is gone. What goes
// on in its channels is counted on both routes (activity.go); those at a terminal
// can be shown a line ([Server.Wall]).
//
// A host that is coming back is waited for before the first channel is
// answered (reach.go). A peer that gives no sign of life is gone: each of the
// two connections has its own keepalive.
//
// After login, a refusal is one readable line on the first session's stderr
// and exit status 255. Before login, everything that fails looks the same.
//
// The package is larger than others are here, since a connection is read in one
// place: what every part of it serves is (*conn).serve.
package gateway
