package control

import (
	"encoding/json"
	"path/filepath"
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

// maxMessage is the size, in bytes, of a request or response.
const maxMessage = 1 << 20

// SocketIn is the socket's path in a state directory.
func SocketIn(stateDir string) string { return filepath.Join(stateDir, "control.sock") }
