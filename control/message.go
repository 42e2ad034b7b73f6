package control

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
)

// Request is what a caller sends.
type Request struct {
	Verb string          `json:"verb"`
	Args json.RawMessage `json:"args,omitempty"` // as the verb takes them
}

// Response is what a caller gets. Error is for a person, of one line or several;
// Result is there too where a verb did a part of what it was asked.
type Response struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// The sizes, in bytes, of a request and of a response.
const (
	maxRequest  = 1 << 20
	maxResponse = 64 << 20 // people by the hundred thousand
)

// SocketIn is the path, in a state directory, of the socket of the gateway that accepts
// connections.
func SocketIn(stateDir string) string { return filepath.Join(stateDir, "control.sock") }

// OldSocketIn is where the socket of a gateway goes that accepts no more connections
// (see [Server.StepAside]).
func OldSocketIn(stateDir string, pid int) string {
	return filepath.Join(stateDir, fmt.Sprintf("control-%d.sock", pid))
}

// Sockets are the sockets that may be in a state directory, first that of the gateway that
// accepts connections.
func Sockets(stateDir string) []string {
	old, _ := filepath.Glob(filepath.Join(stateDir, "control-*.sock"))
	return slices.Concat([]string{SocketIn(stateDir)}, old)
}
