package helper

import (
	"encoding/binary"
	"fmt"
	"strings"

	"berth/machine"

	"golang.org/x/crypto/ssh"
)

// The version of the messages below. Within one major version, messages and
// their fields stay as they are; what a minor one adds is not said to a helper
// of an older one.
//
//	3.0  machines on sockets
//	3.1  machines on streams: resize, break, part, take, caller
const (
	Major = 3
	Minor = 1
)

// version is what a helper says that it speaks.
type version struct{ major, minor uint32 }

func (v version) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

// check refuses a version that is unknown here.
func (v version) check() error {
	if v.major != Major || v.minor > Minor {
		return fmt.Errorf("the helper in it speaks version %v of the helper's messages, and this gateway %v: one of the two is to be upgraded", v, version{Major, Minor})
	}
	return nil
}

// checkStreams refuses a version that knows no machines on streams.
func (v version) checkStreams() error {
	if v == (version{3, 0}) {
		return fmt.Errorf("the helper in it speaks version %v of the helper's messages, which needs descriptors to cross: it is to be upgraded", v)
	}
	return v.check()
}

// Types of messages. A reply carries the id of what it replies to.
const (
	// To the helper, before anything else: one descriptor, its control socket.
	typeAttach = 1 + iota
	// From the helper, on the control socket: it is the one that was started.
	typeHello
	// To the helper, at the gateway's socket: it was expected there.
	typeWelcome
	// To the helper, on the control socket: one descriptor, a machine's socket.
	typeOpen

	// To the helper, on a machine's socket.
	typeStart   // three descriptors unless it asks for a pty
	typeDial    //
	typeListen  //
	typeSignal  // to the process that start with this id started
	typeRelease // the listener that listen with this id made

	// From the helper, on a machine's socket.
	typeDone   // at most one descriptor
	typeFailed //
	typeExited // of the process that start with this id started

	// From the helper, on a machine's socket: one descriptor, a connection that
	// arrived at the listener that listen with this id made.
	typeArrived

	// Since 3.1, where no descriptor crosses. A thing is asked for by start, dial,
	// listen or take as the first message of a stream, its control, on which the
	// reply comes. It lives until the gateway ends the control. Its data goes by
	// streams whose first message is part: of a process those are standard input,
	// output and error, or its terminal; of a connection it is one.
	typeResize // to the process
	typeBreak  // to the process
	typePart   // the first message of a stream for data
	typeTake   // a connection that arrived
	typeCaller // from the helper, on a listener's control: a connection arrived
)

type (
	helloMessage struct {
		Major uint32
		Nonce string
		Minor []byte `ssh:"rest"` // a uint32; nothing is 0
	}
	startMessage struct {
		ID         uint32
		Kind, Line string
		Env        string // NAME=value, each ended by NUL
		Pty        bool
		Term       string
		Columns    uint32
		Rows       uint32
		Width      uint32
		Height     uint32
		Modes      string
	}
	addressMessage struct { // dial, listen
		ID               uint32
		Network, Address string
	}
	signalMessage struct {
		ID   uint32
		Name string
	}
	releaseMessage struct{ ID uint32 }
	arrivedMessage struct{ ID uint32 }
	doneMessage    struct {
		ID      uint32
		Address string // of a listener
	}
	failedMessage struct {
		ID   uint32
		Text string
	}
	exitedMessage struct {
		ID      uint32
		Request string
		Payload string
	}
	resizeMessage struct {
		ID            uint32
		Columns, Rows uint32
		Width, Height uint32
	}
	breakMessage struct{ ID uint32 }
	partMessage  struct {
		ID   uint32 // of the thing
		Part uint32 // from 0
	}
	takeMessage struct {
		ID     uint32
		Number uint32 // the caller's
	}
	callerMessage struct {
		Number uint32
		From   string // its address
	}
)

func newHello(nonce string) helloMessage {
	return helloMessage{Major: Major, Nonce: nonce, Minor: binary.BigEndian.AppendUint32(nil, Minor)}
}

func (m helloMessage) version() version {
	v := version{major: m.Major}
	if len(m.Minor) >= 4 {
		v.minor = binary.BigEndian.Uint32(m.Minor)
	}
	return v
}

func newResize(id uint32, s machine.Size) resizeMessage {
	return resizeMessage{id, s.Columns, s.Rows, s.Width, s.Height}
}

func (m resizeMessage) size() machine.Size {
	return machine.Size{Columns: m.Columns, Rows: m.Rows, Width: m.Width, Height: m.Height}
}

func newStart(id uint32, c machine.Command) startMessage {
	m := startMessage{ID: id, Kind: c.Kind, Line: c.Line, Env: joinEnv(c.Env)}
	if c.Pty != nil {
		m.Pty, m.Term, m.Modes = true, c.Pty.Term, c.Pty.Modes
		m.Columns, m.Rows, m.Width, m.Height = c.Pty.Size.Columns, c.Pty.Size.Rows, c.Pty.Size.Width, c.Pty.Size.Height
	}
	return m
}

func (m startMessage) command() machine.Command {
	c := machine.Command{Kind: m.Kind, Line: m.Line, Env: splitEnv(m.Env)}
	if m.Pty {
		c.Pty = &machine.Pty{
			Term:  m.Term,
			Size:  machine.Size{Columns: m.Columns, Rows: m.Rows, Width: m.Width, Height: m.Height},
			Modes: m.Modes,
		}
	}
	return c
}

// marshal makes a message; one without fields is nil.
func marshal(kind byte, message any) []byte {
	if message == nil {
		return []byte{kind}
	}
	return append([]byte{kind}, ssh.Marshal(message)...)
}

// unmarshal reads a message's fields, all of them and nothing more.
func unmarshal(packet packet, kind byte, message any) error {
	if packet.kind != kind {
		return fmt.Errorf("message of type %d where %d was due", packet.kind, kind)
	}
	return ssh.Unmarshal(packet.body, message)
}

// joinEnv ends each variable by NUL, which none can hold.
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
