package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/ledger"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/provision/progress"
)

// Executor carries out steps on an engine. It must not be used concurrently.
type Executor struct {
	API      *client.Client
	Progress *progress.Progress
	Box      box.Box
	Ignored  []string // containers whose claims on the box do not count
	Marks    plan.Marks

	// Patient says that this run comes right after one that died, whose last stop the
	// engine may still be carrying out.
	Patient bool

	leaving   []string // containers that are being replaced, and those that replace them
	switching string   // name for the recreation that is under way, for messages
}

// Apply carries out a plan's steps in order, up to the first one that fails. Its
// error names that step and has the engine's text. Completed steps stay, and the next
// run goes on from there. A recreation that fails brings the old container back.
func (e *Executor) Apply(ctx context.Context, p plan.Plan) error {
	for steps := p.Steps; len(steps) > 0; {
		if together := plan.Together(steps); together > 0 {
			if err := e.recreate(ctx, steps[:together]); err != nil {
				return err
			}
			steps = steps[together:]
			continue
		}
		if err := e.CarryOut(ctx, steps[0]); err != nil {
			return fmt.Errorf("%s: %w", steps[0].Task(), err)
		}
		steps = steps[1:]
	}
	return nil
}

// CarryOut carries out one step and shows that. Its error has only the engine's text.
func (e *Executor) CarryOut(ctx context.Context, s plan.Step) error {
	e.Progress.Begin(s.Task())
	err := e.do(ctx, s)
	e.Progress.End(err == nil)
	if err != nil {
		return errors.New(engineText(err))
	}
	return nil
}

func (e *Executor) do(ctx context.Context, s plan.Step) error {
	switch s.Op {
	case plan.OpPull:
		return e.pullImage(ctx, s.Name)
	case plan.OpBuild:
		return e.buildImage(ctx, s.Image)
	case plan.OpCreate:
		return e.create(ctx, s)
	case plan.OpConnect:
		return e.connect(ctx, s.Name, s.Joins)
	case plan.OpDisconnect:
		_, err := e.API.NetworkDisconnect(ctx, s.Joins.Network, client.NetworkDisconnectOptions{Container: s.Name, Force: true})
		return err
	case plan.OpUpdate:
		return e.update(ctx, s.ID, s.Limits)
	case plan.OpWait:
		return e.waitUntil(ctx, s.Until)
	case plan.OpStart:
		return e.start(ctx, s.Name)
	case plan.OpRename:
		return e.rename(ctx, s.ID, s.To)
	case plan.OpUndo:
		return e.undo(ctx, s)
	case plan.OpFinish:
		return e.complete(ctx, s)
	case plan.OpRestart:
		_, err := e.API.ContainerRestart(ctx, s.ID, client.ContainerRestartOptions{})
		return err
	case plan.OpStop:
		_, err := e.API.ContainerStop(ctx, s.ID, client.ContainerStopOptions{})
		return err
	case plan.OpRemove:
		return e.remove(ctx, s)
	}
	return fmt.Errorf("there is no operation %s", s.Op)
}

func (e *Executor) create(ctx context.Context, s plan.Step) error {
	switch s.Kind {
	case plan.KindNetwork:
		return e.createNetwork(ctx, s.Network)
	case plan.KindVolume:
		return e.createVolume(ctx, s.Volume)
	case plan.KindContainer:
		_, err := e.createContainer(ctx, s.Service, "", plan.Container{})
		return err
	}
	return fmt.Errorf("nothing creates an %s", s.Kind)
}

func (e *Executor) remove(ctx context.Context, s plan.Step) error {
	switch s.Kind {
	case plan.KindNetwork:
		_, err := e.API.NetworkRemove(ctx, s.Name, client.NetworkRemoveOptions{})
		return err
	case plan.KindVolume:
		_, err := e.API.VolumeRemove(ctx, s.Name, client.VolumeRemoveOptions{})
		return err
	case plan.KindContainer:
		return e.removeContainer(ctx, s.ID)
	}
	return fmt.Errorf("nothing removes an %s", s.Kind)
}

// engineText returns what the engine says, without what the client puts before it.
func engineText(err error) string {
	return strings.TrimSpace(strings.ReplaceAll(err.Error(), "Error response from daemon: ", ""))
}

func (e *Executor) createNetwork(ctx context.Context, n compose.Network) error {
	_, err := e.API.NetworkCreate(ctx, n.Name, client.NetworkCreateOptions{
		Driver: n.Driver, EnableIPv6: n.IPv6, IPAM: n.IPAM, Internal: n.Internal, Attachable: n.Attachable,
		Options: n.Options, Labels: n.Labels,
	})
	if err != nil && (strings.Contains(err.Error(), "address pool") || strings.Contains(err.Error(), "fully subnetted")) {
		return fmt.Errorf("%s: docker network prune removes what nothing uses; or give it an ipam subnet of its own, or the engine more default-address-pools", engineText(err))
	}
	return err
}

func (e *Executor) createVolume(ctx context.Context, v compose.Volume) error {
	_, err := e.API.VolumeCreate(ctx, client.VolumeCreateOptions{Name: v.Name, Driver: v.Driver, DriverOpts: v.Options, Labels: v.Labels})
	return err
}

// createContainer creates a service's container and returns its id. It adds the
// labels that only the image can tell: the image's id, and the account if the files
// name none. from is an image to use instead of the service's own, which contains
// what was carried over. old is the container that is replaced; its anonymous volumes
// are mounted again. If the container has GPUs and somebody else took one of them
// meanwhile, it is removed again, with an error.
func (e *Executor) createContainer(ctx context.Context, s compose.Service, from string, old plan.Container) (string, error) {
	image, err := e.API.ImageInspect(ctx, s.Image.Ref)
	if err != nil {
		return "", err
	}
	config := s.Config
	config.Labels = e.labelsOf(s, image)
	config.Image = cmp.Or(from, config.Image)
	host := s.HostConfig
	if image.Config != nil {
		host.Mounts = slices.Concat(host.Mounts, inherited(image.Config.Volumes, s.HostConfig, old))
	}
	options := client.ContainerCreateOptions{Name: s.Container, Config: &config, HostConfig: &host}
	if len(s.Networks) > 0 { // an engine before API 1.44 takes only one here
		first := s.Networks[0]
		options.NetworkingConfig = &network.NetworkingConfig{
			EndpointsConfig: map[string]*network.EndpointSettings{first.Network: first.Settings},
		}
	}
	created, err := e.API.ContainerCreate(ctx, options)
	for _, warning := range slices.Concat(created.Warnings, e.unheeded(s)) {
		e.Progress.Warn(s.Container, warning)
	}
	if err != nil || s.GPUs.None() {
		return created.ID, err
	}
	return created.ID, e.ensureClaim(ctx, created.ID)
}

// unheeded returns a warning for each setting that this engine would silently ignore.
func (e *Executor) unheeded(s compose.Service) []string {
	chosen := func(a compose.Attachment) bool { return a.Settings != nil && len(a.Settings.MacAddress) > 0 }
	if slices.ContainsFunc(s.Networks, chosen) && versions.LessThan(e.API.ClientVersion(), "1.44") {
		return []string{"mac_address is left out: that needs an engine of version 25 or later"}
	}
	return nil
}

// inherited returns mounts of the volumes that the image asks for and that the old
// container has already.
func inherited(asked map[string]struct{}, host container.HostConfig, old plan.Container) []mount.Mount {
	var mounts []mount.Mount
	for target := range asked {
		taken := slices.ContainsFunc(host.Mounts, func(m mount.Mount) bool { return m.Target == target }) ||
			slices.ContainsFunc(host.Binds, func(bind string) bool { return strings.Contains(bind+":", ":"+target+":") })
		for _, m := range old.Mounts {
			if !taken && m.Type == mount.TypeVolume && m.Destination == target {
				mounts = append(mounts, mount.Mount{Type: mount.TypeVolume, Source: m.Name, Target: target})
			}
		}
	}
	return mounts
}

// labelsOf returns the labels of a new container. Labels of ours in the image are
// emptied: its author may have set them to anything.
func (e *Executor) labelsOf(s compose.Service, image client.ImageInspectResult) map[string]string {
	all, user := map[string]string{}, ""
	if image.Config != nil {
		user = image.Config.User
		for name := range image.Config.Labels {
			if strings.HasPrefix(name, labels.Prefix) {
				all[name] = ""
			}
		}
	}
	maps.Copy(all, s.Config.Labels)
	all[labels.Image] = image.ID
	all[labels.Account] = account(all[labels.Account], user)
	all[labels.Mark] = e.Marks.Of(all)
	return all
}

// ensureClaim removes a new container, with an error, if one of its GPUs is held by
// another. It checks after the creation, when everybody can see the new container's
// claim: the lock holds off other runs on this box, but neither docker run nor a
// provision elsewhere. If two create at once, at least one of them sees the other.
func (e *Executor) ensureClaim(ctx context.Context, id string) error {
	all, err := ObserveContainers(ctx, e.API, e.Box)
	if err != nil {
		return err
	}
	var mine ledger.Claim
	var others []ledger.Claim
	for _, c := range e.Marks.Judge(all) {
		switch {
		case c.ID == id:
			mine = c.Claim
		case c.Counts() && !slices.Contains(e.Ignored, c.Name) && !slices.Contains(e.leaving, c.ID):
			others = append(others, c.Claim)
		}
	}
	books := ledger.New(e.Box, others...)
	for _, h := range mine.GPUs {
		if d, ok := e.Box.Device(h.UUID); ok && !books.IsFree(d, h.Budget) {
			return errors.Join(
				fmt.Errorf("its GPU was taken in this moment, so it is not made; run up again%s", books.HoldersOf(d)),
				e.removeContainer(ctx, id))
		}
	}
	return nil
}

// account returns the name in user or user:group, of the files or else of the image;
// root if neither names one.
func account(wanted, ofImage string) string {
	name, _, _ := strings.Cut(cmp.Or(wanted, ofImage), ":")
	return cmp.Or(name, "root")
}

func (e *Executor) connect(ctx context.Context, name string, n compose.Attachment) error {
	_, err := e.API.NetworkConnect(ctx, n.Network, client.NetworkConnectOptions{Container: name, EndpointConfig: n.Settings})
	return err
}

func (e *Executor) start(ctx context.Context, name string) error {
	_, err := e.API.ContainerStart(ctx, name, client.ContainerStartOptions{})
	if err != nil && strings.Contains(err.Error(), "could not select device driver") {
		return errors.New("the engine gives no GPUs: install the NVIDIA container toolkit, and restart dockerd")
	}
	return err
}

// removeContainer removes a stopped container, and the image of what was carried over
// into it. Its volumes stay.
func (e *Executor) removeContainer(ctx context.Context, id string) error {
	ref := e.imageOf(ctx, id)
	if _, err := e.API.ContainerRemove(ctx, id, client.ContainerRemoveOptions{}); err != nil {
		return err
	}
	e.forget(ctx, ref)
	return nil
}

// update changes the limits of a container that stays.
func (e *Executor) update(ctx context.Context, id string, l plan.Limits) error {
	_, err := e.API.ContainerUpdate(ctx, id, client.ContainerUpdateOptions{Resources: &l.Resources, RestartPolicy: &l.Restart})
	return err
}

func (e *Executor) pullImage(ctx context.Context, ref string) error {
	if err := e.pull(ctx, ref); err != nil {
		return fmt.Errorf("its registry does not give it (%s); docker load brings it too, or name another image", engineText(err))
	}
	return nil
}

func (e *Executor) pull(ctx context.Context, ref string) error {
	pull, err := e.API.ImagePull(ctx, ref, client.ImagePullOptions{})
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
		e.Progress.Say(pullLine(message))
	}
	return nil
}

func pullLine(m jsonstream.Message) string {
	line := strings.TrimSpace(m.ID + " " + m.Status)
	if m.Progress != nil && m.Progress.Total > 0 {
		line += fmt.Sprintf(" %s of %s", units.HumanSize(float64(m.Progress.Current)), units.HumanSize(float64(m.Progress.Total)))
	}
	return line
}
