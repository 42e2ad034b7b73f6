package gateway

import (
	"context"

	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/session"
	"github.com/berth-ssh/berth/sshconn"
)

// be is the mechanism for a host that is a machine: the gateway is its sshd.
type be struct {
	*conn
	machine machine.Machine
	to      target
	whyLost func() string // may be nil
}

func (b be) close() { b.machine.Close() }

func (b be) run(ctx context.Context, client sshconn.Conn) {
	defer b.machine.Close()
	session.Serve(ctx, client, b.machine, session.Options{
		Env:      b.environment(b.to.person),
		Forced:   b.to.gate.To.Grant.Forced != "",
		Ready:    b.wire.Ready,
		Notice:   b.to.notice,
		Lost:     func() string { return lost(ctx, b.to.Host, b.whyLost) },
		Log:      b.log,
		Panicked: b.panicked,
		Running:  &b.running,
	})
}
