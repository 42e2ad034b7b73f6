// Package sftpd is the sftp subsystem (version 3, draft-ietf-secsh-filexfer-02)
// for a machine that has no sftp-server of its own. The protocol is pkg/sftp's;
// what OpenSSH's clients ask for beyond it (OpenSSH's PROTOCOL, §4, and
// draft-ietf-secsh-filexfer-extensions-00) is answered here, between the client
// and pkg/sftp.
package sftpd
