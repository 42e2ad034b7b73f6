// Package front is the process that parses the network: it has the clients' sockets,
// and a [gateway.Server] that serves them. It has no engine, no keys, no files and no
// privilege: whatever it needs of those it asks its keeper for, on the socket that it
// was started with (packages fronts and front/messages), and gets as a connected
// descriptor or as a signature.
//
// What it shuts itself off from, before it accepts the first connection, is in
// sandbox.go.
package front
