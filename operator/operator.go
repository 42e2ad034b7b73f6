// Package operator answers what the owner of a box asks of a gateway that runs: who is
// connected, and which sources are slowed down; and it ends connections and shows messages.
// It answers the verbs of package people.
package operator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/berth-ssh/berth/control"
	"github.com/berth-ssh/berth/gateway"
	"github.com/berth-ssh/berth/people"
	"github.com/berth-ssh/berth/printable"
	"github.com/berth-ssh/berth/strangers"
)

const (
	maxPenalties = 100 // the worst

	maxReason = 300 // runes of why somebody's connection is ended
	maxLines  = 20  // of a message to everybody
	maxLine   = 500 // runes of each
)

// Gateway is one that is acted on: a [*gateway.Server] of this process, or a front.
type Gateway interface {
	Live() []gateway.Live
	End(id, reason string) bool
	Wall(lines ...string) int
	Penalties() []strangers.Penalty
}

// Operator acts on one gateway.
type Operator struct {
	Server  Gateway
	Version string // of this program
	Log     *slog.Logger
}

// Verbs are what other programs of the box may ask for.
func (o *Operator) Verbs() map[string]control.Verb {
	return map[string]control.Verb{
		people.VerbSessions:  func(context.Context, json.RawMessage) (any, error) { return o.on(), nil },
		people.VerbPenalties: func(context.Context, json.RawMessage) (any, error) { return o.penalties(), nil },
		people.VerbKick:      taking(o.kick),
		people.VerbWall:      taking(o.wall),
	}
}

// taking makes a verb of a function that takes arguments of a form.
func taking[Args, Result any](act func(Args) (Result, error)) control.Verb {
	return func(_ context.Context, raw json.RawMessage) (any, error) {
		var args Args
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, fmt.Errorf("not arguments of this verb: %w", err)
		}
		return act(args)
	}
}

func (o *Operator) on() people.On {
	on := people.On{Connections: []people.Connection{}}
	for _, live := range o.Server.Live() {
		on.Connections = append(on.Connections, people.Connection{
			ID: live.ID, Person: live.Identity.User,
			Host: live.Host, Account: live.Account, Route: live.Route, Container: live.Container,
			From: live.Remote, Since: live.Since, Idle: live.Idle.Seconds(),
			Sessions: live.Sessions, Forwards: live.Forwards, Up: live.Up, Down: live.Down,
			Client: live.ClientVersion, PID: os.Getpid(), Version: o.Version,
		})
	}
	return on
}

func (o *Operator) penalties() people.Penalties {
	penalties := people.Penalties{Sources: []people.Penalty{}}
	for _, p := range o.Server.Penalties() {
		penalties.Sources = append(penalties.Sources, people.Penalty{
			Source: p.Source.String(), Failures: p.Failures, Gap: p.Gap.Seconds(),
		})
		if len(penalties.Sources) == maxPenalties {
			break
		}
	}
	return penalties
}

// kick ends all connections of a person, or the one with this id, or all there are.
// Where there is none, nothing is ended.
func (o *Operator) kick(args people.Kick) (people.Kicked, error) {
	kicked := people.Kicked{IDs: []string{}}
	if args.Who == "" && !args.All {
		return kicked, errors.New("say whom: a person, or a connection's id")
	}
	reason := cmp.Or(printable.Line(args.Message, maxReason), "by the owner of the box")
	for _, live := range o.Server.Live() {
		if (args.All || live.Identity.User == args.Who || live.ID == args.Who) && o.Server.End(live.ID, reason) {
			o.Log.Info("kicked", "conn", live.ID, "user", live.Identity.User, "why", reason)
			kicked.IDs = append(kicked.IDs, live.ID)
		}
	}
	return kicked, nil
}

func (o *Operator) wall(args people.Wall) (people.Walled, error) {
	lines := cleaned(args.Message)
	if len(lines) == 0 {
		return people.Walled{}, errors.New("there is no message")
	}
	lines[0] = "berth: " + lines[0]
	shown := o.Server.Wall(lines...)
	o.Log.Info("told everybody", "terminals", shown, "message", strings.Join(lines, " "))
	return people.Walled{Terminals: shown}, nil
}

// cleaned are the lines of a message, as they may be shown on a terminal.
func cleaned(message string) []string {
	var lines []string
	for line := range strings.Lines(message) {
		if len(lines) == maxLines {
			return append(lines, "…")
		}
		if line = printable.Line(line, maxLine); line != "" || len(lines) > 0 {
			lines = append(lines, line)
		}
	}
	return lines
}
