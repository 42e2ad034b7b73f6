// Package parity holds Berth to its promise: through the gateway everything is as
// it is with OpenSSH's own sshd. A bare sshd is the oracle: what a script wants of
// a door must hold there too.
package parity
