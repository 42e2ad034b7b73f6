package docker

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

const (
	resyncEvery = 5 * time.Minute // in case events were lost

	minBackoff = time.Second / 2
	maxBackoff = 10 * time.Second
)

// Run follows the engine until ctx ends. It tries again and again if the engine does
// not answer.
func (s *Source) Run(ctx context.Context) {
	defer s.telling.Wait()
	backoff, said := minBackoff, ""
	for {
		err := s.engine.Explain(s.follow(ctx, func() {
			if said != "" {
				s.log.Info("engine answers again")
			}
			backoff, said = minBackoff, ""
			s.silence.Store(nil)
		}))
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errResync):
			continue
		}
		if what := s.fallSilent(err); what != said {
			s.log.Warn("engine "+what+"; hosts in containers cannot be entered until it answers", "err", err)
			said = what
		}
		s.setFollowing(false)
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// setFollowing records whether the engine answers, and releases those who wait for
// the first answer.
func (s *Source) setFollowing(following bool) {
	s.known.setFollowing(following)
	s.syncedOnce.Do(func() { close(s.synced) })
}

// errResync ends a follow because its time is over, or because the entries have
// changed.
var errResync = errors.New("time to ask again")

// follow first subscribes to events and then lists the containers, so that nothing is
// missed in between. It applies events until either fails.
func (s *Source) follow(ctx context.Context, answered func()) error {
	ctx, cancel := context.WithTimeoutCause(ctx, resyncEvery, errResync)
	defer cancel()
	labelled, named := s.subscribe(ctx)
	if err := s.sync(ctx); err != nil {
		return err
	}
	answered()
	s.setFollowing(true)
	for {
		var err error
		select {
		case event := <-labelled.Messages:
			s.apply(ctx, event)
			continue
		case event := <-named.Messages:
			s.applyToNamed(ctx, event)
			continue
		case <-s.renamed:
			return errResync
		case err = <-labelled.Err:
		case err = <-named.Err:
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
}

// subscribe subscribes to the events of containers with labels, and of those in the
// configuration, if there are any.
func (s *Source) subscribe(ctx context.Context) (labelled, named client.EventsResult) {
	ofContainers := func() client.Filters { return make(client.Filters).Add("type", "container") }
	labelled = s.engine.Events(ctx, client.EventsListOptions{Filters: ofContainers().Add("label", labels.Host)})
	if len(s.entries()) > 0 {
		filters := ofContainers()
		for _, entry := range s.entries() {
			filters.Add("container", entry.Container)
		}
		named = s.engine.Events(ctx, client.EventsListOptions{Filters: filters})
	}
	return labelled, named
}

// sync asks for everything that events could have told.
func (s *Source) sync(ctx context.Context) error {
	listing, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := s.engine.ContainerList(listing, client.ContainerListOptions{
		All:     true,
		Filters: make(client.Filters).Add("label", labels.Host),
	})
	if err != nil {
		return err
	}
	all, err := s.foundByList(ctx, list)
	if err != nil {
		return err
	}
	s.known.replaceLabelled(all)
	for _, f := range all {
		s.claim(f.host)
	}
	s.tellSeen()
	for _, entry := range s.entries() {
		if err := s.refresh(ctx, entry); err != nil {
			return err
		}
	}
	s.tellLater(ctx, all...)
	return nil
}

// refresh asks for the present state of a container in the configuration.
func (s *Source) refresh(ctx context.Context, entry hosts.Entry) error {
	f, err := s.look(ctx, entry.Container)
	switch {
	case err == nil:
		s.known.rememberNamed(entry.Name, f)
	case errdefs.IsNotFound(err):
		s.known.forgetNamed(entry.Name)
	default:
		return err
	}
	return nil
}

// apply asks for the container of an event; its present state counts, not what the
// event says.
func (s *Source) apply(ctx context.Context, event events.Message) {
	id := event.Actor.ID
	if event.Action == events.ActionDestroy {
		s.known.forget(id)
		s.trusts.forget(id)
		s.forgetHostKeys(id)
		return
	}
	if changesNothing(event) {
		return
	}
	if event.Action == events.ActionDie {
		s.known.stopped(id)
	}
	f, err := s.look(ctx, id)
	if err != nil {
		s.known.forget(id)
		return
	}
	s.known.remember(f)
	s.claim(f.host)
	s.tellSeen()
	s.tellLater(ctx, f)
}

func (s *Source) tellSeen() {
	if s.seen != nil {
		s.seen()
	}
}

// applyToNamed asks again for the containers that an event may be about.
func (s *Source) applyToNamed(ctx context.Context, event events.Message) {
	if changesNothing(event) {
		return
	}
	switch event.Action {
	case events.ActionDestroy:
		s.forgetHostKeys(event.Actor.ID)
	case events.ActionDie:
		s.known.stopped(event.Actor.ID)
	}
	for _, entry := range s.entries() {
		if !mayBe(event, entry.Container) {
			continue
		}
		if err := s.refresh(ctx, entry); err != nil {
			s.log.Warn("container not inspected", "host", entry.Name, "container", entry.Container, "err", err)
			s.known.forgetNamed(entry.Name)
		}
	}
}

// mayBe reports whether an event can be about the container with this name or id.
func mayBe(event events.Message, container string) bool {
	return event.Action == events.ActionRename || event.Actor.Attributes["name"] == container || strings.HasPrefix(event.Actor.ID, container)
}

// changesNothing reports whether an event leaves its container as it was: one about
// an exec, or about a signal, whose effect has an event of its own.
func changesNothing(event events.Message) bool {
	return strings.HasPrefix(string(event.Action), "exec_") || event.Action == events.ActionKill
}

func (s *Source) forgetHostKeys(id string) {
	if err := s.state.ForgetHostKeys(id); err != nil {
		s.log.Warn("pinned host keys not removed", "container", id, "err", err)
	}
}

func (s *Source) inspect(ctx context.Context, id string) (container.InspectResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	result, err := s.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return container.InspectResponse{}, err
	}
	if result.Container.State == nil || result.Container.Config == nil {
		return container.InspectResponse{}, errors.New("the engine tells too little about the container")
	}
	return result.Container, nil
}
