package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/helper"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/hosts/pool"
	"github.com/berth-ssh/berth/labels"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

const (
	// How long the start of a helper may take, with its delivery: for a container of
	// this machine, and for a box behind a slow link.
	startTimeout          = 30 * time.Second
	startTimeoutElsewhere = 3 * time.Minute
)

// openExec opens a container as an account; "" stands for the account that runs the
// container.
func (s *Source) openExec(ctx context.Context, host hosts.Host, in container.InspectResponse, account string) (hosts.Entrance, error) {
	opened, err := s.helpers.Open(ctx, pool.Key{Container: host.Container, Account: account}, func() (*helper.Client, error) {
		ctx, cancel := context.WithTimeout(context.Background(), s.startTimeout())
		defer cancel()
		started, err := s.startHelper(ctx, in, account)
		if errors.Is(err, docker.ErrNoAccount) && perPerson(in) {
			if err = s.makeAccount(ctx, in, account); err == nil {
				started, err = s.startHelper(ctx, in, account)
			}
		}
		return started, err
	})
	if err == nil {
		return hosts.Entrance{Machine: opened, WhyLost: func() string { return s.whyLost(host) }}, nil
	}
	now, gone := s.running(ctx, host)
	switch {
	case gone != nil: // the container is gone meanwhile
		return hosts.Entrance{}, gone
	case docker.Refuses(err):
		return hosts.Entrance{}, s.silent(host.Name, "cannot be entered", err)
	case errors.Is(err, docker.ErrNoAccount):
		return hosts.Entrance{}, hosts.NewUnreachable(host.Name, noAccount(account), err)
	case errors.Is(err, docker.ErrSilent) || now.RestartCount > 0 && isRecent(now.State.StartedAt): // or about to
		why := fmt.Sprintf("cannot be entered%s, as it ends or restarts: %v; see docker logs %s", as(account), err, now.Name[1:])
		return hosts.Entrance{}, hosts.Soon(hosts.NewUnreachable(host.Name, why, err), patience(now))
	}
	return hosts.Entrance{}, hosts.NewUnreachable(host.Name, fmt.Sprintf("cannot be entered%s: %v", as(account), err), nil)
}

func (s *Source) startTimeout() time.Duration {
	if docker.IsLocal(s.engine.Client) {
		return startTimeout
	}
	return startTimeoutElsewhere
}

func noAccount(account string) string { return "has no account " + account }

func as(account string) string {
	if account == "" {
		return ""
	}
	return " as " + account
}

// startHelper starts the helper as the account: from the mount that provision made,
// or else from a file that is written by an exec and removes itself.
func (s *Source) startHelper(ctx context.Context, in container.InspectResponse, account string) (*helper.Client, error) {
	if mounted(in.Mounts) {
		command := []string{path.Join(labels.HelperMount, s.self.name), "helper", "run"}
		if s.meetings != nil {
			command = append(command, "--socket", path.Join(labels.HelperMount, s.meetings.Name()))
		}
		started, err := s.execHelper(ctx, in, account, command...)
		if err == nil || !errors.Is(err, docker.ErrNoSuchFile) {
			return started, err
		}
	}
	written, err := s.writeHelper(ctx, in, account)
	if err != nil {
		return nil, err
	}
	started, err := s.execHelper(ctx, in, account, written, "helper", "run", "--remove-self")
	if err != nil {
		s.removeWritten(ctx, in, account, written)
	}
	return started, err
}

// removeWritten removes the file of a helper that did not start.
func (s *Source) removeWritten(ctx context.Context, in container.InspectResponse, account, written string) {
	command := helper.RemoveCommand(written)
	if command == nil {
		return
	}
	if exec, err := s.exec(ctx, in, account, command...); err == nil {
		io.Copy(io.Discard, exec.Out) // until it has ended
		exec.Close()
	}
}

// exec runs a command in a container as an account.
func (s *Source) exec(ctx context.Context, in container.InspectResponse, account string, command ...string) (*docker.Exec, error) {
	return docker.Start(ctx, s.engine.Client, in.ID, docker.Command{User: account, Env: without(in.Config.Env), Args: command})
}

// without returns changes of an exec's environment that remove what was meant only
// for the container's entrypoint: passwords of other accounts, and what provision
// set.
func without(env []string) []string {
	var names []string
	for _, variable := range env {
		name, _, _ := strings.Cut(variable, "=")
		if helper.IsForEntrypoint(name) {
			names = append(names, name)
		}
	}
	return names
}

func mounted(mounts []container.MountPoint) bool {
	return slices.ContainsFunc(mounts, func(m container.MountPoint) bool {
		return m.Destination == labels.HelperMount && !m.RW
	})
}

// ExecBy returns how route exec enters a container from a gateway on this machine,
// with the same user as this process.
func ExecBy(engine *client.Client, mounts []container.MountPoint) string {
	if docker.IsLocal(engine) && (mounted(mounts) || os.Geteuid() == 0) {
		return hosts.ByDescriptors
	}
	return hosts.ByStreams
}

// execHelper starts a helper and meets it.
func (s *Source) execHelper(ctx context.Context, in container.InspectResponse, account string, command ...string) (*helper.Client, error) {
	exec, err := s.exec(ctx, in, account, command...)
	if err != nil {
		return nil, err
	}
	started := helper.Started{In: exec.In, Out: exec.Out, Close: exec.Close}
	if docker.IsLocal(s.engine.Client) {
		started.PID = func() (int, error) { return exec.PID(ctx) }
	}
	met, err := s.meetings.Meet(started)
	if errors.Is(err, helper.ErrNotStarted) {
		return nil, exec.Explain()
	}
	exec.Detach()
	return met, err
}

// writeHelper writes this program into a container over an exec's standard input. It
// never uses the archive API, which follows the container's own links (CVE-2026-41567
// and kin).
func (s *Source) writeHelper(ctx context.Context, in container.InspectResponse, account string) (string, error) {
	file, size, err := helper.OpenSelf()
	if err != nil {
		return "", err
	}
	defer file.Close()
	exec, err := s.exec(ctx, in, account, helper.WriteCommand(size, false)...)
	if err != nil {
		return "", err
	}
	defer exec.Close()
	sent := make(chan struct{})
	go func() { // a failed exec takes no input, and says why meanwhile
		defer close(sent)
		io.Copy(exec.In, file)
		exec.CloseIn()
	}()
	written := helper.ReadWritten(exec.Out)
	exec.Close()
	<-sent
	if written != "" {
		return written, nil
	}
	err = exec.Explain()
	if errors.Is(err, docker.ErrNoSuchFile) {
		return "", errors.New("its image has no sh to bring the helper in with; provision would mount it")
	}
	return "", err
}
