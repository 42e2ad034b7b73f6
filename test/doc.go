// Package test holds Berth to its promise: through the gateway everything is
// as it is with OpenSSH's own sshd.
//
// A ground is a machine with several doors: a bare sshd, and each route of a
// gateway that leads to the same machine. Real clients run the same scripts at
// every door, and the bare sshd is the oracle: what a script is wanted to
// print must hold there too. TestMachine needs OpenSSH only, TestContainer an
// engine and a base image.
//
// A tool that is missing skips a test on a laptop, and fails it where CI=true.
package test
