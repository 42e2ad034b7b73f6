// Package machine runs an account's processes, and dials and listens on its
// addresses.
//
// A [Machine] is what an SSH session server needs for that. [Local] is the machine on
// which this program runs, with the account that runs it. Inside a container, package
// helper answers with it.
package machine
