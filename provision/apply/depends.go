package apply

import (
	"context"
	"fmt"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/provision/compose"
)

// waitUntil returns when a container meets the condition of a dependency, or with an
// error when it never will. There is no time limit, since a job may take any time; a
// user who does not want to wait interrupts. If the dependency is not required, it
// returns without an error when the condition can no longer be met.
func (e *Executor) waitUntil(ctx context.Context, d compose.Dependency) error {
	for {
		result, err := e.API.ContainerInspect(ctx, d.Container, client.ContainerInspectOptions{})
		if err != nil {
			return err
		}
		met, never := isMet(d.Until, result.Container)
		switch {
		case met, never != "" && !d.Required:
			return nil
		case never != "":
			return fmt.Errorf("%s%s", never, e.lastWords(ctx, result.Container))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(readyPoll):
		}
	}
}

// isMet reports whether a container meets a condition, or returns why it never will.
func isMet(condition compose.Condition, c container.InspectResponse) (met bool, never string) {
	ended := c.State.Status == container.StateExited || c.State.Status == container.StateDead
	code := c.State.ExitCode
	switch {
	case condition == compose.Completed && ended && code == 0:
		return true, ""
	case ended:
		return false, fmt.Sprintf("its command ended with code %d", code)
	case condition == compose.Completed:
		return false, ""
	case c.State.Health == nil:
		return false, "it has no healthcheck, so nobody can say when it is healthy"
	case c.State.Health.Status == container.Unhealthy:
		return false, "its healthcheck fails"
	}
	return c.State.Health.Status == container.Healthy, ""
}
