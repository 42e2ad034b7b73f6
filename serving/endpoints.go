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
	// holdFor is how long a gateway that was told to accept no more connections keeps
	// its socket for the next one: longer than systemd takes to start it.
	holdFor = 20 * time.Second

	// UpgradeTimeout is how long the next gateway may take until it is ready.
	UpgradeTimeout = time.Minute
)

// endpoints are where a gateway is reached: by clients, by other programs of the box, and
// by the next gateway.
type endpoints struct {
	settings  config.Config
	front     *fronts.Fronts
	socket    *net.TCPListener // of clients
	controls  *control.Server  // nil: none
	offer     *takeover.Offer  // nil: none
	metrics   *scrape.Server   // nil: none
	program   string           // the path of this one
	isService bool             // systemd has started the gateway
	log       *slog.Logger

	upgrading sync.Mutex

	aside  atomic.Bool // no more connections are accepted
	paused atomic.Bool // and no other gateway has taken the place
}

// listen takes the place of the gateway that runs, if the options say so, and returns that
// one and the socket to listen on: systemd's, if a socket unit has one; else the former
// gateway's, if that is at the address of the configuration; else one of its own.
func listen(ctx context.Context, settings config.Config, options Options, log *slog.Logger) (*takeover.Former, *net.TCPListener, error) {
	systemds, err := socketOfSystemd(options.SocketPassed)
	if err != nil {
		return nil, nil, err
	}
	former := &takeover.Former{}
	if options.TakeOver {
		if former, err = takeover.Take(ctx, settings.State); err != nil {
			return nil, nil, err
		}
	}
	if systemds == nil && former.Listener != nil && isAt(former.Listener, settings.Listen) {
		return former, former.Listener, nil
	}
	if former.Listener != nil {
		defer former.Listener.Close()
	}
	if systemds != nil {
		if !isAt(systemds, settings.Listen) {
			log.Warn("systemd's socket unit says where the gateway listens, and not its configuration", "unit", systemds.Addr().String(), "listen", settings.Listen)
		}
		return former, systemds, nil
	}
	own, err := net.Listen("tcp", settings.Listen)
	if err != nil {
		former.Close()
		return nil, nil, fmt.Errorf("cannot listen on %s: %w", settings.Listen, err)
	}
	return former, own.(*net.TCPListener), nil
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
func (e *endpoints) open(verbs map[string]control.Verb) {
	var err error
	if e.controls, err = control.Listen(control.SocketIn(e.settings.State), verbs, e.log); err != nil {
		e.log.Warn("other programs cannot reach this gateway, so reload, sessions, kick, wall and upgrade do not work; SIGHUP does", "err", err)
	}
	if e.offer, err = takeover.NewOffer(e.settings.State, e.socket, e.stepAside, e.log); err != nil {
		e.log.Warn("no other gateway can take the place of this one", "err", err)
	}
}

// stepAside leaves the place to the next gateway, which is ready.
func (e *endpoints) stepAside() {
	e.paused.Store(false)
	e.stopAccepting()
	if e.metrics != nil {
		e.metrics.Close() // its address is the next one's
	}
	if e.controls == nil {
		return
	}
	if err := e.controls.StepAside(control.OldSocketIn(e.settings.State, os.Getpid())); err != nil {
		e.log.Warn("other programs cannot reach this gateway any more", "err", err)
	}
}

// pauseWhenTold pauses when told has an item, unless ctx ends before.
func (e *endpoints) pauseWhenTold(ctx context.Context, told <-chan os.Signal) {
	select {
	case <-told:
		e.pause()
	case <-ctx.Done():
	}
}

// pause stops accepting connections, and keeps the socket for the next gateway for a while.
func (e *endpoints) pause() {
	if e.aside.Load() {
		return
	}
	e.paused.Store(true)
	e.stopAccepting()
	if e.offer != nil {
		time.AfterFunc(holdFor, e.offer.GiveUp)
	}
}

func (e *endpoints) stopAccepting() {
	e.aside.Store(true)
	e.front.StepAside(e.settings.Linger)
	e.socket.Close()
}

// hold waits, after all connections have ended, until the next gateway has taken the socket
// of one that is paused.
func (e *endpoints) hold(ctx context.Context) {
	if !e.paused.Load() || e.offer == nil {
		return
	}
	select {
	case <-e.offer.Taken():
	case <-ctx.Done():
	case <-time.After(holdFor):
	}
}

// stopping tells systemd that the gateway stops, unless another one has its place.
func (e *endpoints) stopping() {
	if !e.aside.Load() {
		tellSystemd(daemon.SdNotifyStopping, e.log)
	}
}

func (e *endpoints) close() {
	if e.metrics != nil {
		e.metrics.Close()
	}
	if e.offer != nil {
		e.offer.Close()
	}
	if e.controls != nil {
		e.controls.Close()
	}
}

// Upgraded is the result of an upgrade.
type Upgraded struct {
	PID     int `json:"pid"`     // of the gateway that accepts connections now
	Staying int `json:"staying"` // connections that the former one goes on with
}

// upgrade starts the program that is at this one's path now, and returns when that has
// taken the place of this one. If it does not get ready, nothing changes.
func (e *endpoints) upgrade(ctx context.Context) (Upgraded, error) {
	switch {
	case e.isService:
		return Upgraded{}, errors.New("this gateway is a service: upgrade it with systemctl restart berth-gateway, which ends no session")
	case os.Getpid() == 1:
		return Upgraded{}, errors.New("this gateway is the first process of a container, which would end with it: start a container beside it, with serve --take-over")
	case e.offer == nil || e.aside.Load():
		return Upgraded{}, errors.New("this gateway has no place to pass on; its log says why")
	}
	if !e.upgrading.TryLock() {
		return Upgraded{}, errors.New("another upgrade is under way")
	}
	defer e.upgrading.Unlock()
	args := os.Args[1:]
	if !slices.Contains(args, "--take-over") {
		args = append(slices.Clone(args), "--take-over")
	}
	next := exec.Command(e.program, args...)
	next.Stdout, next.Stderr = os.Stdout, os.Stderr
	if err := next.Start(); err != nil {
		return Upgraded{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- next.Wait() }()
	select {
	case <-e.offer.Taken():
		e.log.Info("replaced", "by", next.Process.Pid)
		return Upgraded{next.Process.Pid, len(e.front.Live())}, nil
	case err := <-ended:
		return Upgraded{}, fmt.Errorf("the new gateway did not start (%v), and its log says why; this one goes on", err)
	case <-ctx.Done():
	case <-time.After(UpgradeTimeout):
	}
	next.Process.Kill()
	return Upgraded{}, fmt.Errorf("the new gateway was not ready within %v; this one goes on", UpgradeTimeout)
}
