package serving

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/control"
	"github.com/berth-ssh/berth/fronts"
	"github.com/berth-ssh/berth/scrape"
	"github.com/berth-ssh/berth/takeover"
)

const (
	// holdFor is how long a gateway that was told to let nobody in keeps its socket
	// for the next one: longer than systemd takes to start it.
	holdFor = 20 * time.Second

	// UpgradeTimeout is how long the next gateway may take until it is ready.
	UpgradeTimeout = time.Minute
)

// place is where a gateway stands: the socket on which it listens, and those by
// which other programs and the next gateway reach it.
type place struct {
	settings  config.Config
	front     *fronts.Fronts
	socket    *net.TCPListener
	controls  *control.Server // nil where there is none
	offer     *takeover.Offer // nil where there is none
	metrics   *scrape.Server  // nil where there is none
	program   string          // the path of this one
	isService bool            // systemd's
	log       *slog.Logger

	upgrading sync.Mutex

	aside  atomic.Bool // it lets nobody in any more
	paused atomic.Bool // and has not been replaced
}

// listen takes the place of the gateway that runs, if it is to and there is one, or
// a new one. Its socket is systemd's, if that listens for it; or else the former
// gateway's, if that is at the address of the configuration; or else one of its own.
func listen(ctx context.Context, settings config.Config, options Options, log *slog.Logger) (*takeover.Place, error) {
	systemds, err := activated(options.IsPassed)
	if err != nil {
		return nil, err
	}
	taken := &takeover.Place{}
	if options.TakeOver {
		if taken, err = takeover.Take(ctx, settings.State); err != nil {
			return nil, err
		}
	}
	former := taken.Listener
	switch {
	case systemds != nil:
		taken.Listener = systemds
		if !isAt(systemds, settings.Listen) {
			log.Warn("systemd's socket unit says where the gateway listens, and not its configuration", "unit", systemds.Addr().String(), "listen", settings.Listen)
		}
	case former != nil && isAt(former, settings.Listen):
		return taken, nil
	default:
		listener, err := net.Listen("tcp", settings.Listen)
		if err != nil {
			taken.Leave()
			return nil, fmt.Errorf("cannot listen on %s: %w", settings.Listen, err)
		}
		taken.Listener = listener.(*net.TCPListener)
	}
	if former != nil { // the new gateway's is another one
		former.Close()
	}
	return taken, nil
}

// isAt reports whether a listener is at an address of a configuration. Port 0 is
// any port.
func isAt(listener *net.TCPListener, address string) bool {
	want, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return false
	}
	is := listener.Addr().(*net.TCPAddr)
	anyIP := len(want.IP) == 0 || want.IP.IsUnspecified()
	return (want.Port == 0 || want.Port == is.Port) && (is.IP.Equal(want.IP) || anyIP && is.IP.IsUnspecified())
}

// open makes the sockets for other programs.
func (p *place) open(verbs map[string]control.Verb) {
	var err error
	if p.controls, err = control.Listen(control.SocketIn(p.settings.State), verbs, p.log); err != nil {
		p.log.Warn("other programs cannot reach this gateway, so reload, sessions, kick, wall and upgrade do not work; SIGHUP does", "err", err)
	}
	if p.offer, err = takeover.NewOffer(p.settings.State, p.socket, p.stepAside, p.log); err != nil {
		p.log.Warn("no other gateway can take the place of this one", "err", err)
	}
}

// stepAside makes way for the next gateway, which is ready.
func (p *place) stepAside() {
	p.paused.Store(false)
	p.letNobodyIn()
	if p.metrics != nil {
		p.metrics.Close() // its address is the next one's
	}
	if p.controls == nil {
		return
	}
	if err := p.controls.StepAside(control.OldSocketIn(p.settings.State, os.Getpid())); err != nil {
		p.log.Warn("other programs cannot reach this gateway any more", "err", err)
	}
}

// pauseAfter pauses when it is told to.
func (p *place) pauseAfter(ctx context.Context, told <-chan os.Signal) {
	select {
	case <-told:
		p.pause()
	case <-ctx.Done():
	}
}

// pause lets nobody in, and keeps the socket for the next gateway for a while.
func (p *place) pause() {
	if p.aside.Load() {
		return
	}
	p.paused.Store(true)
	p.letNobodyIn()
	if p.offer != nil {
		time.AfterFunc(holdFor, p.offer.GiveUp)
	}
}

func (p *place) letNobodyIn() {
	p.aside.Store(true)
	p.front.StepAside(p.settings.Linger)
	p.socket.Close()
}

// hold waits, once everybody has left, for the next gateway to take the socket of
// one that is paused.
func (p *place) hold(ctx context.Context) {
	if !p.paused.Load() || p.offer == nil {
		return
	}
	select {
	case <-p.offer.Taken():
	case <-ctx.Done():
	case <-time.After(holdFor):
	}
}

// stopping tells systemd of the end of the gateway, unless it has another one.
func (p *place) stopping() {
	if !p.aside.Load() {
		tellSystemd(daemon.SdNotifyStopping, p.log)
	}
}

func (p *place) close() {
	if p.metrics != nil {
		p.metrics.Close()
	}
	if p.offer != nil {
		p.offer.Close()
	}
	if p.controls != nil {
		p.controls.Close()
	}
}

// Upgraded is what came of an upgrade.
type Upgraded struct {
	PID     int `json:"pid"`     // of the gateway that lets people in now
	Staying int `json:"staying"` // connections that the former one goes on with
}

// upgrade starts the program that is at this one's path now, which takes the place
// of this one. Where it does not get ready, nothing has changed.
func (p *place) upgrade(ctx context.Context) (Upgraded, error) {
	switch {
	case p.isService:
		return Upgraded{}, errors.New("this gateway is a service: upgrade it with systemctl restart berth-gateway, which ends no session")
	case os.Getpid() == 1:
		return Upgraded{}, errors.New("this gateway is the first process of a container, which would end with it: start a container beside it, with serve --take-over")
	case p.offer == nil || p.aside.Load():
		return Upgraded{}, errors.New("this gateway has no place to pass on; its log says why")
	}
	if !p.upgrading.TryLock() {
		return Upgraded{}, errors.New("another upgrade is under way")
	}
	defer p.upgrading.Unlock()
	args := os.Args[1:]
	if !slices.Contains(args, "--take-over") {
		args = append(slices.Clone(args), "--take-over")
	}
	next := exec.Command(p.program, args...)
	next.Stdout, next.Stderr = os.Stdout, os.Stderr
	if err := next.Start(); err != nil {
		return Upgraded{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- next.Wait() }()
	select {
	case <-p.offer.Taken():
		p.log.Info("replaced", "by", next.Process.Pid)
		return Upgraded{next.Process.Pid, len(p.front.Live())}, nil
	case err := <-ended:
		return Upgraded{}, fmt.Errorf("the new gateway did not start (%v), and its log says why; this one goes on", err)
	case <-ctx.Done():
	case <-time.After(UpgradeTimeout):
	}
	next.Process.Kill()
	return Upgraded{}, fmt.Errorf("the new gateway was not ready within %v; this one goes on", UpgradeTimeout)
}
