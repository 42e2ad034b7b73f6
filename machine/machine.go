package machine

import (
	"io"
	"net"

	"github.com/berth-ssh/berth/sshconn"
)

// Machine is a place where an account's processes run and its addresses mean
// something: a container seen from inside, or this machine.
type Machine interface {
	// Start runs a command as the machine's account.
	Start(Command) (*Process, error)

	// Dial connects to a "tcp" or "unix" address as seen from the machine.
	Dial(network, address string) (net.Conn, error)

	// Listen listens on a "tcp" or "unix" address of the machine. An empty
	// unix address is a new socket in a new directory that only the account
	// can enter. The network [X11] is a display that is free, and its address
	// what a client must know to be let in ([Authority]). Closing the listener
	// removes what Listen made.
	Listen(network, address string) (net.Listener, error)

	// Done is closed when the machine itself is gone; nil where it cannot go.
	Done() <-chan struct{}

	// Close gives up what the machine holds for its user. Processes that need
	// nothing of it live on.
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
	Env  []string // NAME=value, on top of the account's own environment
	Pty  *Pty     // nil: no pty

	// UserRC says that the account's ~/.ssh/rc is run before a shell or a command line.
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

// Process is a started command and our ends of its standard streams.
type Process struct {
	// Stdin is nil where nothing was started. On a pty its Close does nothing:
	// the end of input is no hangup.
	Stdin io.WriteCloser

	// Deliver waits until the process has what was written to Stdin, or cut is
	// closed. It is nil where a write is enough.
	Deliver func(cut <-chan struct{})

	// Stdout ends when nobody in the machine can write to it any more, and on a
	// pty when the command has ended and what it wrote is read. Closing it
	// without a pty tells the process (SIGPIPE) that nobody reads on.
	Stdout io.ReadCloser

	Stderr io.ReadCloser // nil on a pty

	Exit   <-chan sshconn.Exit     // gives how it ended, once; closed without a value if that is lost
	Signal func(name string) error // to its process group; name as in RFC 4254 §6.10, "TERM"

	// On a pty, and nil without.
	Resize func(Size) error // its foreground process gets SIGWINCH
	Break  func() error     // RFC 4335

	// Close lets go of the process: its pty is hung up and its pipes are closed.
	Close func() error
}
