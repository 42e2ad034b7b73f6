package fronts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/berth-ssh/berth/calls"
	"github.com/berth-ssh/berth/front/messages"
)

// self is this program's own file, even where it was replaced meanwhile.
const self = "/proc/self/exe"

// process is a front that runs.
type process struct {
	*Fronts
	command   *exec.Cmd
	peer      *calls.Peer
	entrances entrances
	ended     chan struct{} // closed when it is gone, and all that it held
	err       error         // then
}

// start starts a front, and returns when it is ready.
func (f *Fronts) start() (*process, error) {
	conn, theirs, err := calls.NewPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	p := &process{Fronts: f, ended: make(chan struct{})}
	p.peer = calls.New(conn, p.verbs(), f.Log)
	listener, err := f.listener.File()
	if err != nil {
		conn.Close()
		return nil, err
	}
	defer listener.Close()
	p.command = exec.Command(self, f.Args...)
	p.command.Args[0] = os.Args[0]
	p.command.Env = environment()
	p.command.Stderr = os.Stderr
	p.command.ExtraFiles = []*os.File{theirs, listener}
	if err := p.command.Start(); err != nil {
		conn.Close()
		return nil, err
	}
	theirs.Close() // so that its end is known to be the only one
	go p.serve()
	if err := p.call(startTimeout, messages.Start, f.Settings, nil); err != nil {
		p.kill()
		<-p.ended
		return nil, fmt.Errorf("the front is not ready: %w", err)
	}
	return p, nil
}

// smallStacks has each goroutine begin with 2 KiB of stack. By itself Go's runtime gives
// a new one what others have used lately: in a burst of logins as much as an exchange of
// keys takes, which a connection that waits then keeps.
const smallStacks = "GODEBUG=adaptivestackstart=0"

// environment is what a front knows of this process's: how the runtime uses memory and
// processors, and which time it is.
func environment() []string {
	env := []string{smallStacks} // what is set takes its place
	for _, name := range []string{"GOMEMLIMIT", "GOGC", "GOMAXPROCS", "GODEBUG", "GOTRACEBACK", "GORACE", "GOCOVERDIR", "TZ"} {
		if value, set := os.LookupEnv(name); set {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// serve answers the front until it is gone.
func (p *process) serve() {
	defer close(p.ended)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := p.peer.Serve(); err != nil {
			p.Log.Error("the front does not speak as one does: it is ended", "err", err)
			p.kill()
		}
	})
	err := p.command.Wait()
	p.peer.Close()
	serving.Wait()
	p.entrances.close()
	p.err = err
}

// call asks the front, and waits at most so long.
func (p *process) call(timeout time.Duration, verb string, args, result any) error {
	answered := make(chan error, 1)
	go func() {
		_, err := p.peer.Call(context.Background(), verb, args, result)
		answered <- err
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-answered:
		return err
	case <-timer.C:
		return fmt.Errorf("no answer within %v", timeout)
	}
}

// kill ends the front at once. Where CAP_KILL is missing, the end of the socket ends it.
func (p *process) kill() {
	p.command.Process.Kill()
	p.peer.Close()
}

// stop tells the front to end, and ends it if it has not within so long.
func (p *process) stop(within time.Duration) error {
	timer := time.AfterFunc(within, p.kill)
	defer timer.Stop()
	p.call(within, messages.Stop, nil, nil)
	<-p.ended
	if p.err != nil {
		return fmt.Errorf("the front did not end as it should: %w", p.err)
	}
	return nil
}
