// Package sftpd is the sftp subsystem (version 3, draft-ietf-secsh-filexfer-02)
// for a machine that has no sftp-server of its own: what OpenSSH's server does,
// with its extensions (OpenSSH's PROTOCOL, §4, and
// draft-ietf-secsh-filexfer-extensions-00).
//
// [Serve] carries out one request after the other, as that server does, and
// answers it before the next. A handle stands for a descriptor: what is done by
// it is done to the file that was opened, whatever its name means by then. The
// server of pkg/sftp is not used because it keeps its descriptors to itself, so
// that extensions on a handle would go by a name, and because of the small things
// in which it differs: modes of new files and directories, appending, links in
// a real path, a rename that replaces.
package sftpd
