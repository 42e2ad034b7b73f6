package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
)

// undoTimeout is how long the old containers are given to run again, an engine that
// restarts included.
const undoTimeout = 3 * time.Minute

// recreation is a recreation under way.
type recreation struct {
	plan.Step
	from    string // image that the new container is made from, where it is not the service's
	made    string // id of the new container
	stopped bool   // the old one was told to stop
}

// recreate carries out recreations that go together: the new containers are made
// beside the old ones, which costs nothing if the engine refuses; then the old ones
// stop, the new ones start, and only when all are up are the old ones removed. On an
// error the old containers run again, under their names.
func (e *Executor) recreate(ctx context.Context, steps []plan.Step) error {
	var all []*recreation
	e.switching = randomTag()
	for _, s := range steps {
		all = append(all, &recreation{Step: s})
		e.leaving = append(e.leaving, s.ID)
	}
	if err := e.change(ctx, all); err != nil {
		return e.undoAll(ctx, all, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout) // an interrupt can wait
	defer cancel()
	for _, r := range all {
		finish := func() error { return e.finish(ctx, r.made, r.Name, r.ID) }
		if err := e.within(r, func() error { return e.whenItAnswers(ctx, finish) }); err != nil {
			return err
		}
	}
	return nil
}

// change brings the new containers up, beside the old ones, which are stopped.
func (e *Executor) change(ctx context.Context, all []*recreation) error {
	for _, r := range all {
		if err := e.within(r, func() error { return e.createBeside(ctx, r, all) }); err != nil {
			return err
		}
	}
	for _, r := range slices.Backward(all) {
		if err := e.within(r, func() error { return e.stopOld(ctx, r) }); err != nil {
			return err
		}
	}
	for _, r := range all {
		if err := e.within(r, func() error { return e.bringUp(ctx, r, all) }); err != nil {
			return err
		}
	}
	return nil
}

// within does one thing of a recreation, shows that it does, and names the
// recreation in its error.
func (e *Executor) within(r *recreation, do func() error) error {
	e.Progress.Begin(r.Task())
	err := do()
	e.Progress.End(err == nil)
	if err != nil {
		return fmt.Errorf("%s: %s", r.Task(), engineText(err))
	}
	return nil
}

// createBeside makes the new container, in place of one that was made before.
func (e *Executor) createBeside(ctx context.Context, r *recreation, all []*recreation) error {
	s, before := r.Service, r.made
	s.Config.Labels = maps.Clone(s.Config.Labels)
	s.Config.Labels[labels.Replaces], s.Config.Labels[labels.Switch] = r.ID, e.switching
	s.HostConfig = joined(s.HostConfig, all)
	s.Container = plan.NewName(r.Name)
	id, err := e.createContainer(ctx, s, r.from, r.Recreation.Old)
	if err != nil {
		return err
	}
	r.made = id
	e.leaving = append(e.leaving, id)
	for _, n := range s.Networks[min(1, len(s.Networks)):] {
		if err := e.connect(ctx, id, n); err != nil {
			return err
		}
	}
	if before == "" {
		return nil
	}
	return e.discard(ctx, before)
}

// joined returns the host configuration with the new containers in place of the old
// ones whose namespaces it shares.
func joined(h container.HostConfig, all []*recreation) container.HostConfig {
	for _, r := range all {
		if r.made == "" {
			continue
		}
		was, is := compose.ContainerMode(r.Service.Container), compose.ContainerMode(r.made)
		if string(h.NetworkMode) == was {
			h.NetworkMode = container.NetworkMode(is)
		}
		if string(h.IpcMode) == was {
			h.IpcMode = container.IpcMode(is)
		}
		if string(h.PidMode) == was {
			h.PidMode = container.PidMode(is)
		}
	}
	return h
}

func (e *Executor) stopOld(ctx context.Context, r *recreation) error {
	old := r.Recreation.Old
	if old.State == "exited" || old.State == "created" {
		return nil
	}
	e.Tell(ctx, old.ID, old.HostName()+" is recreated now, by berth-provision up")
	r.stopped = true
	_, err := e.API.ContainerStop(ctx, r.ID, client.ContainerStopOptions{})
	return err
}

// bringUp starts the new container with what the old one has to give, and returns
// when it is up.
func (e *Executor) bringUp(ctx context.Context, r *recreation, all []*recreation) error {
	var err error
	if r.Recreation.Keep {
		if r.from, err = e.keep(ctx, r.Service, r.ID); err != nil {
			return fmt.Errorf("carry over what was written in it: %w (--fresh does without)", err)
		}
	}
	if r.from != "" || !sameModes(r.Service.HostConfig, joined(r.Service.HostConfig, all)) {
		if err := e.createBeside(ctx, r, all); err != nil {
			return err
		}
	}
	for _, dir := range r.Recreation.Fills {
		if err := e.fill(ctx, r.ID, r.made, dir); err != nil {
			return fmt.Errorf("fill the volume at %s: %w", dir, err)
		}
	}
	if r.Recreation.Copy {
		if err := e.copyWritten(ctx, r.ID, r.made, r.Recreation.Fills); err != nil {
			return fmt.Errorf("copy what was written in it: %w (--fresh does without)", err)
		}
	}
	if err := e.start(ctx, r.made); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return e.waitFor(ctx, limit, time.Now(), r.Service, r.made)
}

func sameModes(one, two container.HostConfig) bool {
	return one.NetworkMode == two.NetworkMode && one.IpcMode == two.IpcMode && one.PidMode == two.PidMode
}

// finish gives the new container the name and removes the old one. It may be called
// again when it has failed half-way.
func (e *Executor) finish(ctx context.Context, made, name, old string) error {
	is, err := e.API.ContainerInspect(ctx, old, client.ContainerInspectOptions{})
	gone := errdefs.IsNotFound(err)
	if err != nil && !gone {
		return err
	}
	if !gone && is.Container.Name == "/"+name {
		if err := e.rename(ctx, old, plan.OldName(name)); err != nil {
			return err
		}
	}
	if is, err = e.API.ContainerInspect(ctx, made, client.ContainerInspectOptions{}); err != nil {
		return err
	}
	if is.Container.Name != "/"+name {
		if err := e.rename(ctx, made, name); err != nil {
			return err
		}
	}
	if gone {
		return nil
	}
	// An engine that was started meanwhile has started this one, too.
	if _, err := e.API.ContainerStop(ctx, old, client.ContainerStopOptions{}); err != nil {
		return err
	}
	return e.removeContainer(ctx, old)
}

func (e *Executor) rename(ctx context.Context, id, name string) error {
	_, err := e.API.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: name})
	return err
}

// undoAll removes the new containers and starts the old ones again. It does so when
// the run was interrupted, too, and waits for an engine that restarts.
func (e *Executor) undoAll(ctx context.Context, all []*recreation, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	e.Progress.Begin("bring back what was")
	err := e.whenItAnswers(ctx, func() error {
		var errs []error
		for _, r := range slices.Backward(all) { // by its label, as a lost answer may have hidden it
			errs = append(errs, e.discardSuccessors(ctx, r.ID, true))
		}
		for _, r := range all {
			errs = append(errs, e.startAgain(ctx, r))
		}
		for _, r := range all {
			errs = append(errs, e.discardSuccessors(ctx, r.ID, false))
			e.forget(ctx, r.from) // which may have no container: the old one has its files
		}
		return errors.Join(errs...)
	})
	e.Progress.End(err == nil)
	if err != nil {
		return fmt.Errorf("%w; and what was does not come back: %s", cause, engineText(err))
	}
	return fmt.Errorf("%w; nothing is lost: what was runs again", cause)
}

func (e *Executor) startAgain(ctx context.Context, r *recreation) error {
	if !r.stopped {
		return nil
	}
	// An interrupted stop may still be going on.
	if _, err := e.API.ContainerStop(ctx, r.ID, client.ContainerStopOptions{}); err != nil {
		return err
	}
	return e.start(ctx, r.ID)
}

// whenItAnswers does something, and again as long as the engine cannot be reached. An
// engine that was just started is tried a few times.
func (e *Executor) whenItAnswers(ctx context.Context, do func() error) error {
	for tries := 3; ; {
		err := do()
		if err == nil {
			return nil
		}
		if _, ping := e.API.Ping(ctx, client.PingOptions{}); ping == nil {
			tries--
		}
		if tries == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(readyPoll):
		}
	}
}

// discardSuccessors removes the containers that were made to replace this one. Those
// that run are only stopped where one of them has to stay as a mark: an interrupted
// run is known by them.
func (e *Executor) discardSuccessors(ctx context.Context, old string, onlyStop bool) error {
	filter := make(client.Filters).Add("label", labels.Replaces+"="+old)
	list, err := e.API.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filter})
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range list.Items {
		if onlyStop {
			none := 0
			_, err := e.API.ContainerStop(ctx, c.ID, client.ContainerStopOptions{Timeout: &none})
			errs = append(errs, err)
			continue
		}
		errs = append(errs, e.discard(ctx, c.ID))
	}
	return errors.Join(errs...)
}

// discard removes a container that never came to be, with the volumes without a name
// that it alone has.
func (e *Executor) discard(ctx context.Context, id string) error {
	ref := e.imageOf(ctx, id)
	_, err := e.API.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if errdefs.IsNotFound(err) {
		return nil
	}
	e.forget(ctx, ref)
	return err
}

// undo ends an interrupted recreation in favour of the old container.
func (e *Executor) undo(ctx context.Context, s plan.Step) error {
	if !s.Beside {
		none := 0
		if _, err := e.API.ContainerStop(ctx, s.ID, client.ContainerStopOptions{Timeout: &none}); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
		if err := e.runAgain(ctx, s.Recreation.Old); err != nil {
			return err
		}
	}
	return e.discard(ctx, s.ID)
}

// runAgain starts a container.
func (e *Executor) runAgain(ctx context.Context, old plan.Container) error {
	if e.Patient {
		e.awaitStop(ctx, old.ID)
	}
	err := e.start(ctx, old.ID)
	if err != nil && !old.Running {
		e.Progress.Say(engineText(err)) // it may never have been able to run
		return nil
	}
	return err
}

// awaitStop returns when a container has stopped, or after as long as a stop may take.
func (e *Executor) awaitStop(ctx context.Context, id string) {
	const more = 2 * time.Second
	grace := 10 * time.Second // the engine's default
	for began := time.Now(); time.Since(began) < grace+more; {
		result, err := e.API.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if err != nil || !result.Container.State.Running {
			return
		}
		if asked := result.Container.Config.StopTimeout; asked != nil {
			grace = time.Duration(*asked) * time.Second
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(readyPoll):
		}
	}
}

// complete ends an interrupted recreation in favour of the new container, if that is
// up; else in favour of the old one.
func (e *Executor) complete(ctx context.Context, s plan.Step) error {
	if err := e.start(ctx, s.ID); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := e.waitFor(ctx, limit, time.Now(), compose.Service{Name: s.Name}, s.ID); err != nil {
		return errors.Join(err, e.undo(ctx, s))
	}
	return e.finish(ctx, s.ID, s.To, s.Recreation.Old.ID)
}
