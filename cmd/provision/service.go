package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/container"

	"berth/box"
	"berth/image"
	"berth/labels"
)

// builder turns one compose service into the container that it means. What it
// leaves out, or has to say, it collects.
type builder struct {
	*project
	compose  types.ServiceConfig
	settings settings
	site     site

	service  wantedService
	warnings []string
	addresses
}

func (b *builder) warn(format string, args ...any) {
	b.warnings = append(b.warnings, fmt.Sprintf(format, args...))
}

// wantService builds the container of a service. Where compose says nothing,
// the defaults are those of a machine that people work on.
func (p *project) wantService(compose types.ServiceConfig, at site) (wantedService, []string, error) {
	settings, err := settingsOf(compose, p.sources)
	if err != nil {
		return wantedService{}, nil, err
	}
	b := &builder{project: p, compose: compose, settings: settings, site: at}
	b.service = wantedService{
		name:      compose.Name,
		host:      cmp.Or(settings.host, compose.Name),
		container: p.containerName(compose.Name),
		limits:    limitsOf(compose),
		reserved:  reservationsOf(compose),
		ownShm:    compose.ShmSize != 0,
	}
	if b.service.gpus, err = wantGPUs(compose, settings.gpu); err == nil {
		b.service.image, err = p.wantImage(compose, cmp.Or(settings.base, at.base), settings.dockerCLI)
	}
	if settings.pinned {
		err = errors.Join(err, b.pin())
	}
	if err == nil {
		b.networks()
		b.config()
		b.hostConfig()
		b.labels()
		b.habits()
		err = b.err()
	}
	if err != nil {
		return wantedService{}, nil, fmt.Errorf("%s%s: %w", p.sources.where("services", compose.Name), compose.Name, err)
	}
	return b.service, b.warnings, nil
}

// pin: cores are whole, and which ones is the ledger's to say.
func (b *builder) pin() error {
	b.service.pinned = true
	switch n := b.service.reserved.NanoCPUs; {
	case n == 0 || n%1e9 != 0:
		return fmt.Errorf("%s.cpus: exclusive takes a whole number of cpus in deploy.resources.reservations.cpus, not %s", extension, box.CPUs(n))
	case b.compose.CPUSet != "":
		return fmt.Errorf("%s.cpus: exclusive finds the cpus itself; take cpuset out", extension)
	}
	return nil
}

func (p *project) containerName(service string) string {
	return cmp.Or(p.AllServices()[service].ContainerName, p.Name+"-"+service+"-1")
}

// labels make the container a host, and say what it reserves.
func (b *builder) labels() {
	s := &b.service
	route, account := labels.RouteExec, b.compose.User
	if s.image.isHost() {
		route, account = labels.RouteSshd, image.Account
	}
	s.config.Labels = map[string]string{}
	maps.Copy(s.config.Labels, b.compose.Labels)
	maps.Copy(s.config.Labels, map[string]string{
		labels.Host:    s.host,
		labels.Route:   cmp.Or(b.settings.route, route),
		labels.Account: cmp.Or(b.settings.account, account),
		labels.Project: b.Name,
		labels.Service: s.name,
		labels.CPUs:    strconv.FormatInt(s.reserved.NanoCPUs, 10),
	})
	if s.pinned {
		s.config.Labels[labels.Pinned] = "exclusive"
	}
	if budget := s.gpus.Budget(); budget > 0 {
		s.config.Labels[labels.GPUMemory] = strconv.FormatInt(budget, 10)
	}
}

// habits are things that a compose file may well say and a shared machine had
// better not hear.
func (b *builder) habits() {
	c := b.compose
	if passwords := passwordsIn(c.Environment); len(passwords) > 0 {
		b.warn("docker inspect shows %s to everyone who may use Docker; logins through the gateway need none", strings.Join(passwords, " and "))
	}
	if c.Privileged {
		b.warn("privileged: whoever is root in it is root on this machine")
	}
	if c.GetScale() != 1 {
		b.warn("one container is made, not %d: a host is one container", c.GetScale())
	}
	switch c.PullPolicy {
	case "", types.PullPolicyMissing, types.PullPolicyIfNotPresent:
	default:
		b.warn("pull_policy %s: an image that is on this machine is used", c.PullPolicy)
	}
	for _, name := range slices.Sorted(maps.Keys(c.DependsOn)) {
		if condition := c.DependsOn[name].Condition; condition != types.ServiceConditionStarted {
			b.warn("depends_on %s: started after it, but not %s", name, condition)
		}
	}
	if b.service.image.isHost() {
		b.hostImageHabits()
	} else if b.settings.dockerCLI {
		b.warn("%s.docker_cli is for the host image; this one is made elsewhere", extension)
	}
}

func passwordsIn(environment types.MappingWithEquals) []string {
	return slices.DeleteFunc([]string{"ROOT_PASSWORD", "DEVELOPER_PASSWORD"}, func(name string) bool {
		return environment[name] == nil
	})
}

func (b *builder) hostImageHabits() {
	if len(b.compose.Command) > 0 {
		b.warn("command is not run: the host image runs sshd")
	}
	if container.NetworkMode(b.compose.NetworkMode).IsHost() {
		b.warn("network_mode host: its sshd takes port 22 of this machine")
	}
}
