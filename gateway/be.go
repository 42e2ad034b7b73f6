package gateway

import (
	"context"

	"berth/machine"
	"berth/session"
	"berth/sshconn"
)

// be is the mechanism for a host that is a machine: the gateway is its sshd.
type be struct {
	*conn
	machine machine.Machine
	to      target
}

func (b be) run(ctx context.Context, client sshconn.Conn) {
	defer b.machine.Close()
	session.Serve(ctx, client, b.machine, session.Options{
		Env:      b.environment(b.to.person),
		Forced:   b.to.permits.Forced() != "",
		Ready:    b.wire.Ready,
		Lost:     func() string { return lost(ctx, b.to.Host) },
		Log:      b.log,
		Panicked: b.panicked,
	})
}

func (b be) close() { b.machine.Close() }
