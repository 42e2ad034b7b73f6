// Package calls lets two processes call each other over a pair of sockets, of which
// each has one end. Calls, answers and open descriptors (SCM_RIGHTS, unix(7)) go in
// both directions, and many calls may be under way at once.
//
// # On the wire
//
// A message is a header of 16 bytes and a body of JSON. The header has the length of
// the body (4 bytes, big-endian), the kind of the message (1), its number of
// descriptors (1), two zero bytes, and the number of the call (8), which the caller
// has chosen. Descriptors are sent with the first byte of their message, and belong
// to messages in the order in which they come.
//
// # Trust
//
// A [Peer] trusts nothing that it receives: messages are bounded, and so are the
// calls that are under way; after a malformed message it closes the connection.
package calls
