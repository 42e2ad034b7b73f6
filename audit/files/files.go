// Package files learns from the bytes of a session what sftp or scp does to files,
// whichever program serves it. It neither changes nor delays the bytes.
//
// [Sftp] reads packets of sftp version 3 (draft-ietf-secsh-filexfer-02, and OpenSSH's
// PROTOCOL §4); [Scp] reads the older protocol of scp. Each is given what both sides
// send, in order; the two sides may come from different goroutines. It reports each
// [File] once its result is known. The memory is bounded, whatever is sent.
//
// Other programs move files, too: a shell, rsync, git, tar. Those are commands, and
// what they do is not seen here.
package files

// Action is what was done to a file.
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

// File is one action on a file. Paths are as the client sent them, any bytes;
// relative ones begin at the account's home.
type File struct {
	Action Action
	Path   string
	To     string // new path for Rename, Link and Copy; the target for Symlink
	Bytes  uint64 // for Upload and Download

	Failed bool // the host refused it
	Cut    bool // the result is unknown, since the session ended before
}

// Watcher is given what both sides of a session send.
type Watcher interface {
	FromClient(p []byte)
	FromHost(p []byte)

	// End reports what is unfinished. No other method may be called after it.
	End()
}
