package machine

import (
	"io"
	"net"

	"github.com/berth-ssh/berth/sshconn"
)

// Machine runs an account's processes, and dials and listens on its addresses: a
// container seen from inside, or this machine.
type Machine interface {
	// Start runs a command as the machine's account.
	Start(Command) (*Process, error)

	// Dial connects to a "tcp" or "unix" address as seen from the machine.
	Dial(network, address string) (net.Conn, error)

	// Listen listens on a "tcp" or "unix" address of the machine. An empty unix
	// address stands for a new socket in a new directory that only the account can
	// enter. The network [X11] stands for a free display; the listener's address then
	// has what clients need ([Authority]). Closing the listener removes what Listen
	// has created.
	Listen(network, address string) (net.Listener, error)

	// Done is closed when the machine itself is gone; it is nil if that cannot
	// happen.
	Done() <-chan struct{}

	// Close releases what the machine holds for its user. Processes that need none of
	// it live on.
	Close() error
}

// Kinds of Command, named as the requests that start them (RFC 4254 §6.5).
const (
	Shell     = "shell"
	Exec      = "exec"
	Subsystem = "subsystem"
)

// Sftp is the name of the subsystem.
const Sftp = "sftp"

// Command is what a session asks to run.
type Command struct {
	Kind string   // Shell, Exec or Subsystem
	Line string   // the command line, or the subsystem's name
	Env  []string // NAME=value, overriding the account's own environment
	Pty  *Pty     // nil for none

	// UserRC runs the account's ~/.ssh/rc before a shell or a command line.
	UserRC bool
}

// Pty is what a pty-req asks for (RFC 4254 §6.2).
type Pty struct {
	Term  string // "" where the client has none
	Size  Size
	Modes string // encoded terminal modes (RFC 4254 §8)
}

// Size is a terminal's size in characters and in pixels.
type Size struct {
	Columns, Rows, Width, Height uint32
}

// Process is a started command with this side's ends of its standard streams.
type Process struct {
	// Stdin is nil if nothing was started. On a pty its Close does nothing, since the
	// end of input must not hang the pty up.
	Stdin io.WriteCloser

	// Deliver waits until the process has all that was written to Stdin, or until cut
	// is closed. It is nil if a write itself is enough.
	Deliver func(cut <-chan struct{})

	// Stdout ends when no process in the machine can write to it any more; on a pty,
	// when the command has ended and its output was read. Without a pty, closing it
	// tells the process (SIGPIPE) that nobody reads any more.
	Stdout io.ReadCloser

	Stderr io.ReadCloser // nil on a pty

	Exit   <-chan sshconn.Exit     // how it ended, once; closed without a value if that is unknown
	Signal func(name string) error // to its process group; name as in RFC 4254 §6.10, "TERM"

	// The next two are set only on a pty.
	Resize func(Size) error // its foreground process gets SIGWINCH
	Break  func() error     // RFC 4335

	// Close releases the process: its pty is hung up and its pipes are closed.
	Close func() error
}
