// Package descriptors is a helper's way to answer where descriptors can cross to the
// gateway. Each message is a packet of a SOCK_SEQPACKET socket, with at most three
// descriptors (SCM_RIGHTS). The helper hands out a pty's master or a connected
// socket, so that the bytes of a session pass through no other process.
//
// The container may keep a copy of every descriptor that it hands out. So the gateway
// checks the kind of each one, and never makes a call on it that could block.
package descriptors
