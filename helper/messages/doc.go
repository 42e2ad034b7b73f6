// Package messages is what a gateway and a helper say to each other, whichever
// way they do: the messages and their version, and what both ways bound.
//
// A message is a type byte and the fields in SSH's encoding (RFC 4251 §5). What
// each version says is recorded in testdata.
package messages
