// Package foreign runs suites of tests that others wrote for SSH servers, or for
// clients against one, with the gateway as the server: OpenSSH's regress,
// x/crypto's ssh/test, pkg/sftp's client and rclone's sftp backend. Each runs
// against a bare sshd first, and then by every route: a test that passes there
// and fails here fails this one, unless docs/clients.md lists it with the reason.
//
// It takes very long; scripts/foreign runs it.
package foreign
