package front

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/calls"
	"github.com/berth-ssh/berth/front/messages"
	"github.com/berth-ssh/berth/gateway"
	"github.com/berth-ssh/berth/proxy"
	"github.com/berth-ssh/berth/recording"
)

// The descriptors that a front is started with.
const (
	keeperFD   = 3
	listenerFD = 4
)

var errKeeperGone = errors.New("the keeper of this front is gone, and so the front ends, with its connections")

// front is this process.
type front struct {
	peer     *calls.Peer
	listener net.Listener
	log      *slog.Logger
	server   *gateway.Server // set by start
	served   chan error
	stop     context.CancelFunc
	serving  context.Context
}

// Run is the life of a front. It returns when all connections have ended, after it was
// told to stop or to step aside, or when its keeper is gone.
func Run(log *slog.Logger) error {
	conn, err := calls.FileConn(os.NewFile(keeperFD, "keeper"))
	if err != nil {
		return fmt.Errorf("a front is started by berth-gateway serve, and by nobody else: %w", err)
	}
	file := os.NewFile(listenerFD, "listener")
	listener, err := net.FileListener(file)
	if err != nil {
		return err
	}
	file.Close()
	ignoreSignals()
	f := &front{listener: listener, log: log, served: make(chan error, 1)}
	f.serving, f.stop = context.WithCancel(context.Background())
	f.peer = calls.New(conn, f.verbs(), log)
	gone := make(chan error, 1)
	go func() { gone <- f.peer.Serve() }()
	select {
	case err := <-f.served:
		if errors.Is(err, gateway.ErrSpent) {
			return nil // the keeper starts another front
		}
		return err
	case err := <-gone:
		return errors.Join(errKeeperGone, err)
	}
}

// ignoreSignals leaves signals to the keeper: those of a terminal go to both.
func ignoreSignals() {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2)
}

// verbs are what the keeper may ask for.
func (f *front) verbs() map[string]calls.Verb {
	return map[string]calls.Verb{
		messages.Start:     taking(f.start),
		messages.Live:      taking(func(after messages.LiveAfter) (any, error) { return liveOf(f.server.Live(), after), nil }),
		messages.End:       taking(func(e messages.Ending) (any, error) { return f.server.End(e.ID, e.Reason), nil }),
		messages.Wall:      taking(func(lines []string) (any, error) { return f.server.Wall(lines...), nil }),
		messages.Penalties: taking(func(any) (any, error) { return worst(f.server.Penalties()), nil }),
		messages.Review:    taking(func(any) (any, error) { return f.server.Review(), nil }),
		messages.Strangers: taking(func(any) (any, error) { f.server.LogStrangers(); return nil, nil }),
		messages.StepAside: taking(f.stepAside),
		messages.Stop:      taking(func(any) (any, error) { f.stop(); return nil, nil }),
	}
}

func taking[Args any](act func(Args) (any, error)) calls.Verb {
	return func(_ context.Context, raw json.RawMessage, _ []*os.File) (any, []*os.File, error) {
		var args Args
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, nil, err
		}
		result, err := act(args)
		return result, nil, err
	}
}

// start gives up this process's rights, and serves.
func (f *front) start(settings messages.Settings) (any, error) {
	zone, _ := time.Now().Zone() // which is in a file
	f.log.Debug("front", "zone", zone)
	if err := shutOff(settings, f.log); err != nil {
		return nil, err
	}
	client := &keeperClient{peer: f.peer, settings: settings, room: recording.NewRoom(settings.RecordsSize), log: f.log}
	f.server = &gateway.Server{
		HostKeys: client.HostKeys, Keeper: client, Recordings: client, Log: f.log,
		Drain: settings.Drain, Keepalive: settings.Keepalive, Wait: settings.Wait, Exempt: settings.Exempt,
	}
	if settings.Audited {
		f.server.Audit = audit.Elsewhere(client.audit)
	}
	listener := f.listener
	if len(settings.Proxies) > 0 {
		listener = proxy.Listen(listener, settings.Proxies, f.log)
	}
	go func() { f.served <- f.server.Serve(f.serving, listener) }()
	if settings.Recheck > 0 {
		go f.server.Recheck(f.serving, settings.Recheck)
	}
	return nil, nil
}

func (f *front) stepAside(linger time.Duration) (any, error) {
	f.server.StepAside(linger)
	if err := f.listener.Close(); !errors.Is(err, net.ErrClosed) { // it steps aside again, for another gateway
		return nil, err
	}
	return nil, nil
}

// liveOf is a message of connections. It sorts them as [messages.LiveAfter] does, by what a
// clock says that may have been set back meanwhile.
func liveOf(all []gateway.Live, after messages.LiveAfter) []messages.LiveConn {
	slices.SortFunc(all, func(a, b gateway.Live) int { return messages.After(a).Compare(messages.After(b)) })
	told := []messages.LiveConn{}
	for _, live := range all {
		if len(told) < messages.MaxLive && messages.After(live).Compare(after) > 0 {
			told = append(told, messages.LiveConn{Live: live, User: live.Identity.User})
		}
	}
	return told
}

// worst is a message of penalties, of which all is sorted.
func worst(all []messages.Penalty) []messages.Penalty {
	return all[:min(len(all), messages.MaxPenalties)]
}
