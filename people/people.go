// Package people says who is connected to the gateways of a box, and which sources they
// slow down, for programs that show it or act on it. Its types go over the gateway's socket
// (package control) and out of "sessions --json": keys are added to them, and never change
// their meaning.
package people

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/berth-ssh/berth/control"
)

// The verbs by which a gateway is asked. Each is answered by every gateway that
// runs: by the former ones, too, that still serve people after an upgrade.
const (
	VerbSessions = "sessions" // no arguments; [On]
	VerbKick     = "kick"     // [Kick]; [Kicked]
	VerbWall     = "wall"     // [Wall]; [Walled]

	VerbPenalties = "penalties" // no arguments; [Penalties]
)

// On are the people who are connected to one gateway.
type On struct {
	Connections []Connection `json:"connections"`
}

// Connection is a connection of a person who is logged in. What a client or a
// container says of itself is any text: clean it before it is shown.
type Connection struct {
	ID        string    `json:"id"` // what the log calls conn
	Person    string    `json:"person"`
	Host      string    `json:"host,omitempty"` // this and what follows: once a host was reached
	Account   string    `json:"account,omitempty"`
	Route     string    `json:"route,omitempty"`
	Container string    `json:"container,omitempty"` // its whole id
	From      string    `json:"from"`                // address and port
	Since     time.Time `json:"since"`               // the login
	Idle      float64   `json:"idle_seconds"`        // since something was last sent in its channels
	Sessions  int64     `json:"sessions"`            // channels that are open
	Forwards  int64     `json:"forwards"`            // connections through a forward that are open
	Up        uint64    `json:"bytes_up"`            // on the wire, from the client
	Down      uint64    `json:"bytes_down"`
	Client    string    `json:"client"`      // the client's version, as it says it
	PID       int       `json:"gateway_pid"` // the gateway that serves it
	Version   string    `json:"gateway_version"`
}

// Kick says whose connections to end, and why.
type Kick struct {
	Who     string `json:"who,omitempty"` // a person, or a connection's id
	All     bool   `json:"all,omitempty"` // everybody's
	Message string `json:"message,omitempty"`
}

// Kicked are the ids of the connections that were ended.
type Kicked struct {
	IDs []string `json:"ids"`
}

// Wall is a message for every terminal.
type Wall struct {
	Message string `json:"message"`
}

// Walled is how many terminals it was shown on.
type Walled struct {
	Terminals int `json:"terminals"`
}

// Ask returns the connections to all gateways of a state directory, the oldest first. Its
// errors are those of [control.CallAll]: there may be connections and an error.
func Ask(ctx context.Context, stateDir string) ([]Connection, error) {
	answers, err := control.CallAll[On](ctx, stateDir, VerbSessions, nil)
	all := []Connection{} // JSON's [] where there is nobody
	for _, answer := range answers {
		all = append(all, answer.Connections...)
	}
	slices.SortStableFunc(all, func(a, b Connection) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return all, err
}

// Penalties are the sources whose passwords a gateway slows down for their
// failures, the worst first.
type Penalties struct {
	Sources []Penalty `json:"sources"`
}

// Penalty is a source that is slowed down. It fades.
type Penalty struct {
	Source   string  `json:"source"`      // a network, such as 192.0.2.7/32
	Failures float64 `json:"failures"`    // as they count now: half of them is forgotten every five minutes
	Gap      float64 `json:"gap_seconds"` // the time between two passwords that are tried for it
}

// AskPenalties returns the sources that the gateway slows down, the worst first. The error
// is [control.ErrNotRunning] if no gateway runs.
func AskPenalties(ctx context.Context, stateDir string) ([]Penalty, error) {
	var all Penalties
	err := control.Call(ctx, control.SocketIn(stateDir), VerbPenalties, nil, &all)
	return all.Sources, err
}
