// Package files reads what is done to files off the bytes of a session that go by,
// by sftp or by scp, whoever serves it. It changes nothing and holds nothing up.
//
// [Sftp] reads the packets of sftp version 3 (draft-ietf-secsh-filexfer-02, and
// OpenSSH's PROTOCOL §4), [Scp] the older protocol of scp. Both are told of what
// each side sends, in its order and from goroutines of their own, and tell of each
// [File] when it is known how it ended. What they hold is bounded, whatever is sent.
//
// Other programs move files, too: a shell, rsync, git, tar. Those are commands, and
// what they do is not seen here.
package files

// Action is what is done to a file.
type Action string

const (
	Upload   Action = "upload"   // from the client to the host
	Download Action = "download" // from the host to the client
	Remove   Action = "remove"
	Mkdir    Action = "mkdir"
	Rmdir    Action = "rmdir"
	Rename   Action = "rename"
	Symlink  Action = "symlink"
	Link     Action = "link"
	Setstat  Action = "setstat" // size, owner, mode or times, by path
	Copy     Action = "copy"    // within the host
)

// File is one thing that was done. Paths are as the client says them, any bytes:
// relative ones begin at the account's home.
type File struct {
	Action Action
	Path   string
	To     string // the new path of Rename, Link and Copy; what a Symlink leads to
	Bytes  uint64 // of Upload and Download

	Failed bool // the host refused it
	Cut    bool // the session ended before it was known how it ends
}

// Watcher is told of what both sides send on a session.
type Watcher interface {
	FromClient(p []byte)
	FromHost(p []byte)

	// End tells of what was not over. Nothing may be said after it.
	End()
}
