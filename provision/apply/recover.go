package apply

import (
	"context"
	"os"
	"time"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/provision/progress"
)

// recoverRetry is the time between two tries to recover, as of an engine that restarts.
const recoverRetry = time.Second

// Recover ends the recreations of a project that were left half done, so that every host
// runs. It takes the lock, and tries until nothing is half done, or ctx ends.
func Recover(ctx context.Context, stateDir, project string, dial func(context.Context) (*docker.Engine, error)) error {
	unlock, err := Lock(ctx, stateDir)
	if err != nil {
		return err
	}
	defer unlock()
	for {
		done, err := recoverOnce(ctx, project, dial)
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(recoverRetry):
		}
	}
}

func recoverOnce(ctx context.Context, project string, dial func(context.Context) (*docker.Engine, error)) (done bool, err error) {
	engine, err := dial(ctx)
	if err != nil {
		return false, err
	}
	defer engine.Close()
	all, err := ObserveContainers(ctx, engine.Client, box.Box{})
	if err != nil {
		return false, err
	}
	p := plan.Recover(project, plan.Observed{Containers: all})
	e := &Executor{API: engine.Client, Progress: progress.New(os.Stderr), Patient: true}
	return len(p.Steps) == 0, e.Apply(ctx, p)
}
