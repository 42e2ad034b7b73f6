package helper

import (
	"fmt"
	"strings"

	"berth/machine"

	"golang.org/x/crypto/ssh"
)

// Version is of the messages below; both sides must speak the same.
const Version = 3

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
)

type (
	helloMessage struct {
		Version uint32
		Nonce   string
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
)

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
