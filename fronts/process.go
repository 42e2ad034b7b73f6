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

// self leads to this program's own file, even after it was replaced on disk.
const self = "/proc/self/exe"

// process is a front that is running.
type process struct {
	*Fronts
	command   *exec.Cmd
	peer      *calls.Peer
	entrances entrances
	ended     chan struct{} // closed when the process is gone, and all that it had open is closed
	err       error         // how it ended; valid once ended is closed
}

// start starts a front, and returns when that is ready.
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
	theirs.Close() // so that the front holds the only copy, and its end is noticed
	go p.serve()
	if err := p.call(startTimeout, messages.Start, f.Settings, nil); err != nil {
		p.kill()
		<-p.ended
		return nil, fmt.Errorf("the front is not ready: %w", err)
	}
	return p, nil
}

// smallStacks makes each goroutine start with 2 KiB of stack. By default Go's runtime
// starts one with the average of what others have used lately: in a burst of logins
// as much as a key exchange needs, which an idle connection would then keep.
const smallStacks = "GODEBUG=adaptivestackstart=0"

// environment returns the variables that a front gets from this process: those about
// memory and processors in Go's runtime, and the time zone.
func environment() []string {
	env := []string{smallStacks} // a GODEBUG that is set replaces it
	for _, name := range []string{"GOMEMLIMIT", "GOGC", "GOMAXPROCS", "GODEBUG", "GOTRACEBACK", "GORACE", "GOCOVERDIR", "TZ"} {
		if value, set := os.LookupEnv(name); set {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// serve answers the front's questions until the front is gone.
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

// call calls the front, and waits at most timeout for the answer.
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

// kill ends the front at once. Without CAP_KILL, closing its socket does that.
func (p *process) kill() {
	p.command.Process.Kill()
	p.peer.Close()
}

// stop tells the front to end, and kills it if it has not ended within that time.
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
