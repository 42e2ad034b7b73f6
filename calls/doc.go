// Package calls lets two processes call each other over a pair of sockets, of which
// either has one end. Calls, their answers and open descriptors (SCM_RIGHTS, unix(7))
// go both ways; many calls are under way at once.
//
// # On the wire
//
// A message is a head of 16 bytes and a body of JSON: the length of the body (4 bytes,
// big-endian), what the message is (1), how many descriptors it takes (1), two bytes of
// zero, and the number of the call (8), which the caller chose. Descriptors are sent
// with the first byte of the message that takes them, and are taken in the order in
// which they come.
//
// # Trust
//
// A [Peer] believes nothing of what comes: messages are bounded, the calls that are
// under way, too, and whoever sends what is no message is hung up on.
package calls
