// Package people says who is on the gateway of a box, for whatever shows it or
// acts on it. Its forms go over the gateway's socket (package control) and out of
// "sessions --json": keys are added to them, and never change their meaning.
package people

import (
	"cmp"
	"context"
	"slices"
	"time"

	"berth/control"
)

// The verbs by which a gateway is asked. Each is answered by every gateway that
// runs: by the former ones, too, that still serve people after an upgrade.
const (
	VerbSessions = "sessions" // no arguments; [On]
	VerbKick     = "kick"     // [Kick]; [Kicked]
	VerbWall     = "wall"     // [Wall]; [Walled]
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

// Ask returns who is on, whoever came first, first. The errors are those of
// [control.CallAll]: there may be connections and an error.
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
