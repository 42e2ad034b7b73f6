// Package demo shows the gateway at work: two hosts made for it, a gateway of
// its own in front of them, and the commands of a person who uses them.
//
// [Run] is the demo from top to bottom. hosts.go makes the hosts, serve.go runs
// the gateway, visit.go is what a person does, by the programs of
// this machine (tools.go) or by a client of its own (client.go), files.go what
// lies in the demo's own directory.
package demo

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/berth-ssh/berth/screen"
)

// Run is the demo, top to bottom: it shows a transcript and, unless once, serves
// until ctx ends. When it returns, nothing of it is left but images.
func Run(ctx context.Context, show *screen.Screen, once bool) (err error) {
	d, err := newDemo(show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.remove()) }()

	if d.tools = d.findTools(ctx); d.tools.lacking() != "" {
		show.Comment("%s", d.tools.lacking())
	}
	remove, err := d.makeHosts(ctx)
	defer func() { err = errors.Join(err, remove()) }()
	if err != nil {
		return err
	}
	gateway, err := d.serve(ctx)
	if err != nil {
		return err
	}
	defer gateway.stop()

	for _, h := range d.hosts {
		if err := d.visit(ctx, h); err != nil {
			d.showLog()
			return err
		}
	}
	if once {
		return nil
	}
	d.invite()
	select {
	case <-ctx.Done():
		show.Text("\n")
		return nil
	case <-gateway.ended:
		d.showLog()
		return errors.New("the gateway ended by itself")
	}
}

// invite says how to log in from elsewhere.
func (d *demo) invite() {
	d.show.Text("\nThe gateway serves until Ctrl-C. ")
	if !d.tools.ssh {
		d.show.Text("Log in with any client: %s port %s, password %s\n\n", address, d.port, d.password)
		for _, h := range d.hosts {
			d.show.Text("  user %s\n", h.user())
		}
		d.show.Text("\n")
		return
	}
	d.show.Text("Log in from another terminal, with the demo's key:\n\n")
	for _, h := range d.hosts {
		d.show.Text("  ssh -F %s -p %s %s\n", screen.Quote(d.file(sshConfigFile)), d.port, h.login())
	}
	d.show.Text("\nor with any client and the password %s\n\n", d.password)
}

// showLog shows the end of the gateway's log, where something failed.
func (d *demo) showLog() {
	text, err := os.ReadFile(d.file(logFile))
	if err != nil || len(text) == 0 {
		return
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	d.show.Comment("the gateway's log ends with")
	for _, line := range lines[max(0, len(lines)-10):] {
		d.show.Text("  %s\n", line)
	}
}
