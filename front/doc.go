// Package front is the process that parses the network: it has the clients' sockets,
// and a [gateway.Server] that serves them. It has no engine, no keys, no files and no
// privilege. What it needs of these it asks its keeper for, on the socket that it was
// started with (packages fronts and front/messages), and gets as a connected descriptor
// or as a signature.
//
// Before it accepts the first connection, it gives up its rights (sandbox.go).
package front
