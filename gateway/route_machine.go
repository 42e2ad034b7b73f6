package gateway

import (
	"context"

	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/session"
	"github.com/berth-ssh/berth/sshconn"
)

// machineRoute is the route to a host that is a machine: the gateway is its SSH
// server.
type machineRoute struct {
	*conn
	machine machine.Machine
	to      target
	whyLost func() string // may be nil
}

func (r machineRoute) close() { r.machine.Close() }

func (r machineRoute) run(ctx context.Context, client sshconn.Conn) {
	defer r.machine.Close()
	session.Serve(ctx, client, r.machine, session.Options{
		Env:      r.environment(r.to.person),
		Forced:   r.to.gate.To.Grant.Forced != "",
		UserRC:   !r.to.gate.To.Grant.NoUserRC,
		Ready:    r.wire.Ready,
		Notice:   r.to.notice,
		Lost:     func() string { return lost(ctx, r.to.Host, r.whyLost) },
		Log:      r.log,
		Panicked: r.panicked,
		Running:  &r.running,
	})
}
