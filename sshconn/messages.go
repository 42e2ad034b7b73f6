package sshconn

import (
	"errors"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Payloads of requests and of channel opens, with the fields of RFC 4254 in its
// order. ssh.Unmarshal reads them; it bounds every field by the length of the
// payload.
type (
	PtyRequest struct { // §6.2
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	WindowChange struct { // §6.7
		Columns, Rows, Width, Height uint32
	}
	ExecRequest      struct{ Command string } // §6.5
	SubsystemRequest struct{ Name string }    // §6.5
	SignalRequest    struct{ Name string }    // §6.9
	X11Request       struct {                 // §6.3.1
		SingleConnection bool
		Protocol, Cookie string // of the authority; the cookie is in hex
		Screen           uint32
	}
	X11Open struct { // §6.3.2
		OriginatorAddress string
		OriginatorPort    uint32
	}

	exitStatus struct{ Status uint32 } // §6.10
	exitSignal struct {                // §6.10
		Name       string
		CoreDumped bool
		Message    string
		Language   string
	}

	TCPIPForward struct { // §7.1
		Address string
		Port    uint32
	}
	ForwardedTCPIP struct { // §7.2
		Address           string
		Port              uint32
		OriginatorAddress string
		OriginatorPort    uint32
	}
	DirectTCPIP struct { // §7.2
		Host              string
		Port              uint32
		OriginatorAddress string
		OriginatorPort    uint32
	}

	// OpenSSH's PROTOCOL, §2.4: unix domain socket forwarding.
	DirectStreamlocal struct {
		Path           string
		ReservedString string
		ReservedUint   uint32
	}
	StreamlocalForward   struct{ Path string }
	ForwardedStreamlocal struct {
		Path     string
		Reserved string
	}
)

// EnvRequest is the payload of an env request (RFC 4254 §6.4).
type EnvRequest struct{ Name, Value string }

// Exit says how a process ended, in the form of the channel request that reports it.
type Exit struct {
	Request string // exit-status or exit-signal
	Payload []byte
}

// ExitStatus is the Exit of a process that exited by itself.
func ExitStatus(code int) Exit {
	return Exit{"exit-status", ssh.Marshal(exitStatus{uint32(code)})}
}

// ExitSignal is the Exit of a process that a signal killed; name has no SIG.
func ExitSignal(name string, coreDumped bool) Exit {
	return Exit{"exit-signal", ssh.Marshal(exitSignal{Name: name, CoreDumped: coreDumped})}
}

// ParseExit parses an Exit from an untrusted sender.
func ParseExit(request, payload string) (Exit, error) {
	var status exitStatus
	var signal exitSignal
	switch {
	case request == "exit-status" && ssh.Unmarshal([]byte(payload), &status) == nil:
		return Exit{request, ssh.Marshal(status)}, nil
	case request == "exit-signal" && ssh.Unmarshal([]byte(payload), &signal) == nil && IsWord(signal.Name, "@."):
		return ExitSignal(signal.Name, signal.CoreDumped), nil
	default:
		return Exit{}, errors.New("neither an exit-status nor an exit-signal")
	}
}

// IsWord reports whether s has only ASCII letters, digits and the characters in
// others.
func IsWord(s, others string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(others, c) >= 0) {
			return false
		}
	}
	return true
}
