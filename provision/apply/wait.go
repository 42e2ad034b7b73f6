package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/image"
	"github.com/berth-ssh/berth/provision/compose"
)

const (
	readyTimeout = time.Minute
	readyPoll    = 200 * time.Millisecond
	settleTime   = time.Second // a command that fails at once has ended by then
)

// WaitReady waits, for at most a minute, until every host can be entered: its
// container runs, and the host image's sshd listens. Its error has a line for each
// host that cannot be entered, with the last line that its container wrote.
func (e *Executor) WaitReady(ctx context.Context, services []compose.Service) error {
	limit, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var errs []error
	began := time.Now()
	for _, s := range services {
		e.Progress.Begin("wait for " + s.Host)
		err := e.waitFor(ctx, limit, began, s, s.Container)
		e.Progress.End(err == nil)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// waitFor waits for one container of a service, by its name or id.
func (e *Executor) waitFor(ctx, limit context.Context, began time.Time, s compose.Service, id string) error {
	restarts := -1
	for {
		result, err := e.API.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if err != nil {
			return fmt.Errorf("%s: %s", s.Name, engineText(err))
		}
		c := result.Container
		if restarts < 0 {
			restarts = c.RestartCount
		}
		switch {
		case c.State.Running && !c.State.Restarting && c.RestartCount > restarts: // it has ended in between, and its exit code is lost
			return fmt.Errorf("%s: its command ended, and was started again%s", s.Name, e.lastWords(ctx, c))
		case isDone(c):
			return nil
		case !c.State.Running || c.State.Restarting:
			return fmt.Errorf("%s: its command ended with code %d%s", s.Name, c.State.ExitCode, e.lastWords(ctx, c))
		case s.Image.IsHost() && e.listens(ctx, c.ID), !s.Image.IsHost() && time.Since(began) > settleTime:
			return nil
		}
		select {
		case <-limit.Done():
			return fmt.Errorf("%s: it runs, but its sshd does not listen after %s%s", s.Name, readyTimeout, e.lastWords(ctx, c))
		case <-time.After(readyPoll):
		}
	}
}

// isDone reports whether the container's command has ended with success and is not
// meant to go on running.
func isDone(c container.InspectResponse) bool {
	policy := c.HostConfig.RestartPolicy.Name
	again := policy == container.RestartPolicyAlways || policy == container.RestartPolicyUnlessStopped
	return c.State.Status == container.StateExited && c.State.ExitCode == 0 && !again
}

// listens reports whether the host image's sshd listens. It asks inside the
// container: a connection from outside would count as a client of the sshd, and is
// not possible from another box.
func (e *Executor) listens(ctx context.Context, id string) bool {
	created, err := e.API.ExecCreate(ctx, id, client.ExecCreateOptions{Cmd: []string{"test", "-s", image.PidFile}, AttachStdout: true})
	if err != nil {
		return false
	}
	attached, err := e.API.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return false
	}
	defer attached.Close()
	if _, err := io.Copy(io.Discard, attached.Reader); err != nil { // until it ends
		return false
	}
	result, err := e.API.ExecInspect(ctx, created.ID, client.ExecInspectOptions{})
	return err == nil && !result.Running && result.ExitCode == 0
}

// lastWords returns the last line that a container wrote, as the end of an error.
func (e *Executor) lastWords(ctx context.Context, c container.InspectResponse) string {
	if line := docker.LastLine(ctx, e.API, c); line != "" {
		return ": " + line
	}
	return ""
}
