package demo

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	startTimeout = 10 * time.Second
	endTimeout   = 20 * time.Second
)

// runningGateway is berth-gateway serve, in a process of its own.
type runningGateway struct {
	process *os.Process
	ended   chan struct{}
}

// serve starts the gateway and waits until it answers.
func (d *demo) serve(ctx context.Context) (*runningGateway, error) {
	if err := d.writeConfig(); err != nil {
		return nil, err
	}
	log, err := os.Create(d.file(logFile))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := d.command(context.Background(), "/proc/self/exe", "serve", "--config", configFile, "--drain", "0s", "--log", "text")
	command.Stderr = log
	command.Env = append(os.Environ(), "PATH="+hostPath())
	d.listener.Close()
	if err := command.Start(); err != nil {
		return nil, err
	}
	g := &runningGateway{command.Process, make(chan struct{})}
	go func() {
		command.Wait()
		close(g.ended)
	}()
	if err := g.awaitAnswer(ctx, d.port); err != nil {
		g.stop()
		d.showLog()
		return nil, err
	}
	d.show.Text("\n")
	d.show.Comment("the gateway serves both on %s port %s", address, d.port)
	if d.tools.ssh {
		d.show.Comment("each command below also has -F %s: the demo's key and known_hosts", d.file(sshConfigFile))
	}
	return g, nil
}

// hostPath returns the gateway's PATH, which is also that of the hosts if they
// are this machine: the demo's own and the usual directories.
func hostPath() string {
	const usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	if path := os.Getenv("PATH"); path != "" {
		return path + ":" + usual
	}
	return usual
}

// command prepares a program that runs in the demo's directory. Ctrl-C at the
// terminal reaches the demo only, not the program. When ctx ends, the program
// gets SIGTERM, and is killed after endTimeout.
func (d *demo) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = d.dir
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = endTimeout
	return command
}

func (g *runningGateway) awaitAnswer(ctx context.Context, port string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for !answers(address + ":" + port) {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-g.ended:
			return errors.New("the gateway ended at once")
		case <-ctx.Done():
			return errors.New("the gateway does not answer")
		}
	}
	return nil
}

func (g *runningGateway) stop() {
	g.process.Signal(syscall.SIGTERM)
	select {
	case <-g.ended:
	case <-time.After(endTimeout):
		g.process.Kill()
		<-g.ended
	}
}

func answers(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
