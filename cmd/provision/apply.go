package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"berth/box"
	"berth/labels"
	"berth/ledger"
)

// engine carries steps out: a call each.
type engine struct {
	api      *client.Client
	progress *progress
	box      box.Box
	ignored  []string // containers whose claims do not count
}

// apply carries a plan out, up to the first step that does not work. What was
// done stays, and the next run goes on from there.
func (e *engine) apply(ctx context.Context, p plan) error {
	for _, s := range p.steps {
		e.progress.begin(s.op + " " + s.resource)
		err := s.do(ctx, e)
		e.progress.end(err == nil)
		if err != nil {
			return fmt.Errorf("%s %s: %s", s.op, s.resource, engineText(err))
		}
	}
	return nil
}

// engineText is what the engine says, without the client's way of saying so.
func engineText(err error) string {
	return strings.TrimSpace(strings.ReplaceAll(err.Error(), "Error response from daemon: ", ""))
}

func (e *engine) createNetwork(ctx context.Context, n wantedNetwork) error {
	_, err := e.api.NetworkCreate(ctx, n.name, n.options)
	return err
}

func (e *engine) removeNetwork(ctx context.Context, name string) error {
	_, err := e.api.NetworkRemove(ctx, name, client.NetworkRemoveOptions{})
	return err
}

func (e *engine) removeVolume(ctx context.Context, name string) error {
	_, err := e.api.VolumeRemove(ctx, name, client.VolumeRemoveOptions{})
	return err
}

func (e *engine) createVolume(ctx context.Context, v wantedVolume) error {
	_, err := e.api.VolumeCreate(ctx, v.options)
	return err
}

// createContainer adds what only the image knows: which one it is, and whose
// account it runs as where nobody said.
func (e *engine) createContainer(ctx context.Context, s wantedService) error {
	image, err := e.api.ImageInspect(ctx, s.image.ref)
	if err != nil {
		return err
	}
	user := ""
	if image.Config != nil {
		user = image.Config.User
	}
	config := s.config
	config.Labels = maps.Clone(s.config.Labels)
	config.Labels[labels.Image] = image.ID
	config.Labels[labels.Account] = account(config.Labels[labels.Account], user)
	options := client.ContainerCreateOptions{Name: s.container, Config: &config, HostConfig: &s.hostConfig}
	if len(s.networks) > 0 { // engines before API 1.44 take one
		first := s.networks[0]
		options.NetworkingConfig = &network.NetworkingConfig{
			EndpointsConfig: map[string]*network.EndpointSettings{first.Network: first.Settings},
		}
	}
	created, err := e.api.ContainerCreate(ctx, options)
	if err != nil || s.gpus.None() {
		return err
	}
	return e.ensureClaim(ctx, created.ID)
}

// ensureClaim looks once more, now that everyone sees the new container's
// claim: the lock holds off other runs on this machine, but not docker run, nor
// a provision elsewhere. Of two that create at once at least one sees the other.
func (e *engine) ensureClaim(ctx context.Context, id string) error {
	all, err := observeContainers(ctx, e.api, e.box)
	if err != nil {
		return err
	}
	var mine ledger.Claim
	var others []ledger.Claim
	for _, c := range all {
		switch {
		case c.id == id:
			mine = c.claim
		case c.counts() && !slices.Contains(e.ignored, c.name):
			others = append(others, c.claim)
		}
	}
	books := ledger.New(e.box, others...)
	for _, h := range mine.GPUs {
		if d, ok := e.box.Device(h.UUID); ok && !books.IsFree(d, h.Budget) {
			return errors.Join(
				fmt.Errorf("its GPU was taken in this moment, so it is not made; run up again%s", books.HoldersOf(d)),
				e.remove(ctx, id))
		}
	}
	return nil
}

// account is the name in user or user:group; an image that names none runs as root.
func account(wanted, ofImage string) string {
	name, _, _ := strings.Cut(cmp.Or(wanted, ofImage), ":")
	return cmp.Or(name, "root")
}

func (e *engine) connect(ctx context.Context, name string, n attachment) error {
	_, err := e.api.NetworkConnect(ctx, n.Network, client.NetworkConnectOptions{Container: name, EndpointConfig: n.Settings})
	return err
}

func (e *engine) start(ctx context.Context, name string) error {
	_, err := e.api.ContainerStart(ctx, name, client.ContainerStartOptions{})
	if err != nil && strings.Contains(err.Error(), "could not select device driver") {
		return errors.New("the engine gives no GPUs: install the NVIDIA container toolkit, and restart dockerd")
	}
	return err
}

func (e *engine) stop(ctx context.Context, id string) error {
	_, err := e.api.ContainerStop(ctx, id, client.ContainerStopOptions{})
	return err
}

func (e *engine) remove(ctx context.Context, id string) error {
	_, err := e.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{})
	return err
}

func (e *engine) pullImage(ctx context.Context, ref string) error {
	if err := e.pull(ctx, ref); err != nil {
		return fmt.Errorf("its registry does not give it (%s); docker load brings it too, or name another image", engineText(err))
	}
	return nil
}

func (e *engine) pull(ctx context.Context, ref string) error {
	pull, err := e.api.ImagePull(ctx, ref, client.ImagePullOptions{})
	if err != nil {
		return err
	}
	defer pull.Close()
	for message, err := range pull.JSONMessages(ctx) {
		if err != nil {
			return err
		}
		if message.Error != nil {
			return message.Error
		}
		e.progress.say(pullLine(message))
	}
	return nil
}
