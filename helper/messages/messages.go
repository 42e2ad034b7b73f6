package messages

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/berth-ssh/berth/machine"

	"golang.org/x/crypto/ssh"
)

// Types of messages. A reply carries the id of what it replies to.
const (
	// To the helper, before anything else: one descriptor, which is its control
	// socket.
	TypeAttach = 1 + iota
	// From the helper, on the control socket: proof that it is the process that was
	// started.
	TypeHello
	// To the helper, on the gateway's socket: its nonce was expected.
	TypeWelcome
	// To the helper, on the control socket: one descriptor, a machine's socket.
	TypeOpen

	// To the helper, on a machine's socket.
	TypeStart   // three descriptors unless it asks for a pty
	TypeDial    //
	TypeListen  //
	TypeSignal  // to the process that start with this id started
	TypeRelease // the listener that listen with this id made; answered since 3.2

	// From the helper, on a machine's socket.
	TypeDone   // at most one descriptor
	TypeFailed //
	TypeExited // of the process that start with this id started

	// From the helper, on a machine's socket: one descriptor, a connection that
	// arrived at the listener that listen with this id made.
	TypeArrived

	// Since 3.1, where no descriptor crosses. The gateway opens a stream for each
	// process, connection or listener: its control. The first message on it is start,
	// dial, listen or take, and the reply comes back on it. The thing lives until the
	// gateway ends the control. Its data goes over more streams, whose first message
	// is part: standard input, output and error of a process, or one stream for its
	// terminal; one for a connection.
	TypeResize // to the process
	TypeBreak  // to the process
	TypePart   // the first message of a stream for data
	TypeTake   // a connection that arrived
	TypeCaller // from the helper, on a listener's control: a connection arrived

	// Since 3.2, on the control of a process or a connection: the helper delivers to
	// it all that was sent, however long that takes, then closes it and ends the
	// control.
	TypeDeliver
)

// The fields of messages. The gateway chooses each ID.
type (
	Hello struct {
		Major uint32
		Nonce string
		Minor []byte `ssh:"rest"` // a uint32; nothing is 0
	}
	Start struct {
		ID         uint32
		Kind, Line string
		Env        string // NAME=value pairs, each with a NUL at its end
		Pty        bool
		Term       string
		Columns    uint32
		Rows       uint32
		Width      uint32
		Height     uint32
		Modes      string
	}
	Address struct { // dial, listen
		ID               uint32
		Network, Address string
	}
	Signal struct {
		ID   uint32
		Name string
	}
	Release struct{ ID uint32 }
	Arrived struct{ ID uint32 }
	Done    struct {
		ID      uint32
		Address string // of a listener
	}
	Failed struct {
		ID   uint32
		Text string
	}
	Exited struct {
		ID      uint32
		Request string
		Payload string
	}
	Resize struct {
		ID            uint32
		Columns, Rows uint32
		Width, Height uint32
	}
	Break   struct{ ID uint32 }
	Deliver struct{ ID uint32 }
	Part    struct {
		ID   uint32 // of the thing
		Part uint32 // from 0
	}
	Take struct {
		ID     uint32
		Number uint32 // the caller's
	}
	Caller struct {
		Number uint32
		From   string // its address
	}
)

// NewHello returns a hello with this program's version.
func NewHello(nonce string) Hello {
	return Hello{Major: Major, Nonce: nonce, Minor: binary.BigEndian.AppendUint32(nil, Minor)}
}

// Version returns the version in a hello.
func (m Hello) Version() Version {
	v := Version{Major: m.Major}
	if len(m.Minor) >= 4 {
		v.Minor = binary.BigEndian.Uint32(m.Minor)
	}
	return v
}

// NewResize returns a message that sets a terminal's size.
func NewResize(id uint32, s machine.Size) Resize {
	return Resize{id, s.Columns, s.Rows, s.Width, s.Height}
}

// Size returns the size that the message sets.
func (m Resize) Size() machine.Size {
	return machine.Size{Columns: m.Columns, Rows: m.Rows, Width: m.Width, Height: m.Height}
}

// NewStart returns a message that starts a command.
func NewStart(id uint32, c machine.Command) Start {
	m := Start{ID: id, Kind: kindOf(c), Line: c.Line, Env: joinEnv(c.Env)}
	if c.Pty != nil {
		m.Pty, m.Term, m.Modes = true, c.Pty.Term, c.Pty.Modes
		m.Columns, m.Rows, m.Width, m.Height = c.Pty.Size.Columns, c.Pty.Size.Rows, c.Pty.Size.Width, c.Pty.Size.Height
	}
	return m
}

// withRC is appended to the kind of a command that runs the account's rc first; since
// 3.3.
const withRC = "+rc"

func kindOf(c machine.Command) string {
	if c.UserRC {
		return c.Kind + withRC
	}
	return c.Kind
}

// Command returns the command that the message starts.
func (m Start) Command() machine.Command {
	kind, userRC := strings.CutSuffix(m.Kind, withRC)
	c := machine.Command{Kind: kind, Line: m.Line, Env: splitEnv(m.Env), UserRC: userRC}
	if m.Pty {
		c.Pty = &machine.Pty{
			Term:  m.Term,
			Size:  machine.Size{Columns: m.Columns, Rows: m.Rows, Width: m.Width, Height: m.Height},
			Modes: m.Modes,
		}
	}
	return c
}

// Marshal encodes a message. The fields of a message without any are nil.
func Marshal(kind byte, message any) []byte {
	if message == nil {
		return []byte{kind}
	}
	return append([]byte{kind}, ssh.Marshal(message)...)
}

// Message is a received message: its type, and its fields still encoded.
type Message struct {
	Kind byte
	Body []byte
}

// As decodes the message's fields. It fails if the message has another type, or any
// byte more or less than these fields.
func (m Message) As(kind byte, message any) error {
	if m.Kind != kind {
		return fmt.Errorf("message of type %d where %d was due", m.Kind, kind)
	}
	return ssh.Unmarshal(m.Body, message)
}

// joinEnv joins variables. Each ends with a NUL, which no variable can contain.
func joinEnv(env []string) string {
	var joined strings.Builder
	for _, variable := range env {
		joined.WriteString(variable + "\x00")
	}
	return joined.String()
}

func splitEnv(joined string) []string {
	if joined == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(joined, "\x00"), "\x00")
}
