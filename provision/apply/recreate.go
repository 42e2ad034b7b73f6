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

// undoTimeout is how long undoing may take to start the old containers again, also if
// the engine restarts meanwhile.
const undoTimeout = 3 * time.Minute

// recreation is a recreation that is under way.
type recreation struct {
	plan.Step
	from    string // image for the new container, if it is not the service's own
	made    string // id of the new container
	stopped bool   // a stop of the old container was begun
}

// recreate carries out recreations that belong together. It first creates the new
// containers beside the old ones, so that a refusal of the engine changes nothing.
// Then it stops the old ones, starts the new ones, and removes the old ones only when
// all new ones are up. After an error the old containers run again, under their
// names.
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout) // undoing is not interrupted
	defer cancel()
	for _, r := range all {
		finish := func() error { return e.finish(ctx, r.made, r.Name, r.ID) }
		if err := e.within(r, func() error { return e.whenItAnswers(ctx, finish) }); err != nil {
			return err
		}
	}
	return nil
}

// change creates the new containers, stops the old ones, and starts the new ones.
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

// within does one part of a recreation and shows that. Its error names the
// recreation.
func (e *Executor) within(r *recreation, do func() error) error {
	e.Progress.Begin(r.Task())
	err := do()
	e.Progress.End(err == nil)
	if err != nil {
		return fmt.Errorf("%s: %s", r.Task(), engineText(err))
	}
	return nil
}

// createBeside creates the new container. It removes one that an earlier run has
// left.
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

// joined returns the host configuration; where it shares the namespace of an old
// container, the new one takes its place.
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

// bringUp copies to the new container what is carried over from the old one, starts
// it, and returns when it is up.
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

// finish gives the new container its name and removes the old one. After a failure it
// may be called again.
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
	// An engine that was restarted meanwhile has started the old one again.
	if _, err := e.API.ContainerStop(ctx, old, client.ContainerStopOptions{}); err != nil {
		return err
	}
	return e.removeContainer(ctx, old)
}

func (e *Executor) rename(ctx context.Context, id, name string) error {
	_, err := e.API.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: name})
	return err
}

// undoAll removes the new containers and starts the old ones again. It does so also
// if the run was interrupted, and waits for an engine that restarts.
func (e *Executor) undoAll(ctx context.Context, all []*recreation, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	e.Progress.Begin("bring back what was")
	err := e.whenItAnswers(ctx, func() error {
		var errs []error
		for _, r := range slices.Backward(all) { // found by label: the answer to its creation may have been lost
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

// whenItAnswers calls do until it succeeds or ctx ends. While the engine cannot be
// reached, it tries again and again. If the engine answers, it gives up after three
// failures: an engine that has just started may fail at first.
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

// discardSuccessors removes the containers that were created to replace this one.
// With onlyStop it only stops those that run: one of them must stay, since it marks
// the interrupted run.
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

// discard removes a container that was never used, with the anonymous volumes that
// only it has.
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
		e.Progress.Say(engineText(err)) // perhaps it could never run
		return nil
	}
	return err
}

// awaitStop returns when a container has stopped, or when its stop has had all the
// time that it may take.
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

// complete ends an interrupted recreation in favour of the new container if that is
// up, and else in favour of the old one.
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
