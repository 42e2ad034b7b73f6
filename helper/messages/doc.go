// Package messages defines what a gateway and a helper say to each other, by
// descriptors as well as by streams: the messages, their version, and the limits that
// both ways share.
//
// A message is a type byte followed by fields in SSH's encoding (RFC 4251 §5). The
// files in testdata record the messages of each version.
package messages
