// Package descriptors is a helper's way where descriptors can cross: each message
// is one of a SOCK_SEQPACKET socket, with at most three descriptors
// (SCM_RIGHTS). What happens in a container is handed out as a pty's master or a
// connected socket, so no byte of a session goes through anybody else.
//
// The container may share whatever it hands out: the gateway checks the kind of
// each descriptor, and never waits in a call on one.
package descriptors
