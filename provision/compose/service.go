package compose

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

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/image"
	"github.com/berth-ssh/berth/labels"
)

// builder turns one compose service into its container, and collects warnings, for
// example about what it leaves out.
type builder struct {
	*Project
	compose  types.ServiceConfig
	settings Settings
	site     Site

	service  Service
	warnings []string
	addresses
}

func (b *builder) warn(format string, args ...any) {
	b.warnings = append(b.warnings, b.compose.Name+": "+fmt.Sprintf(format, args...))
}

// warnAt is warn about a key of the service, with its place.
func (b *builder) warnAt(key, format string, args ...any) {
	b.warn(format, args...)
	last := &b.warnings[len(b.warnings)-1]
	*last = b.Sources.Where("services", b.compose.Name, key) + *last
}

// wantService returns the container of a service, and warnings about it. What the
// files leave open gets defaults for a computer that people work on.
func (p *Project) wantService(compose types.ServiceConfig, at Site) (Service, []string, error) {
	settings, err := SettingsOf(compose, p.Sources)
	if err != nil {
		return Service{}, nil, err
	}
	b := &builder{Project: p, compose: compose, settings: settings, site: at}
	b.service = Service{
		Name:        compose.Name,
		Host:        cmp.Or(settings.Host, compose.Name),
		Container:   p.containerName(compose.Name),
		Limits:      limitsOf(compose),
		Reserved:    reservationsOf(compose),
		OwnShm:      compose.ShmSize != 0,
		DefaultInit: compose.Init == nil,
		Socket:      settings.dockerSocket,
		Said:        Said{Route: settings.route},
		Keep:        !settings.fresh,
	}
	if b.service.GPUs, err = wantGPUs(compose, settings); err == nil {
		b.service.Image, err = p.wantImage(compose, settings, cmp.Or(settings.Base, at.Base), guardAt(at))
	}
	if settings.pinned {
		err = errors.Join(err, b.pin())
	}
	if at.Box != "" && settings.route == labels.RouteSshd {
		err = errors.Join(err, fmt.Errorf("%s.route: sshd is not reached on box %s, whose networks are not the gateway's; leave it out", Extension, at.Box))
	}
	if err == nil {
		if b.service.Image.IsHost() {
			b.service.Said.Peers = settings.peers
		}
		b.service.After = b.dependencies()
		b.mountGranted()
		b.networks()
		b.config()
		b.hostConfig()
		b.labels()
		b.habits()
		err = b.err()
	}
	if err != nil {
		return Service{}, nil, fmt.Errorf("%s%s: %w", p.Sources.Where("services", compose.Name), compose.Name, err)
	}
	return b.service, b.warnings, nil
}

// pin records that the service has cores of its own, which the ledger chooses. Its
// error says why it cannot have any.
func (b *builder) pin() error {
	b.service.Pinned = true
	switch n := b.service.Reserved.NanoCPUs; {
	case n == 0 || n%1e9 != 0:
		return fmt.Errorf("%s.cpus: exclusive takes a whole number of cpus in deploy.resources.reservations.cpus, not %s", Extension, box.CPUs(n))
	case b.compose.CPUSet != "":
		return fmt.Errorf("%s.cpus: exclusive finds the cpus itself; take cpuset out", Extension)
	}
	return nil
}

func (p *Project) containerName(service string) string {
	compose, active := p.Services[service]
	if !active {
		compose = p.DisabledServices[service]
	}
	return cmp.Or(compose.ContainerName, p.Name+"-"+service+"-1")
}

// labels sets the labels that make the container a host and say what it reserves.
func (b *builder) labels() {
	s := &b.service
	route, account := labels.RouteExec, b.compose.User
	if s.Image.IsHost() {
		account = image.Account
		if b.site.HelperDir == "" && b.site.Box == "" { // another machine's, where exec is the slower way
			route = labels.RouteSshd
		}
	}
	s.Config.Labels = map[string]string{}
	maps.Copy(s.Config.Labels, b.compose.Labels)
	maps.Copy(s.Config.Labels, map[string]string{
		labels.Host:    s.Host,
		labels.Route:   cmp.Or(b.settings.route, route),
		labels.Account: cmp.Or(b.settings.account, account),
		labels.Project: b.Name,
		labels.Service: s.Name,
		labels.CPUs:    strconv.FormatInt(s.Reserved.NanoCPUs, 10),
	})
	if b.settings.perPerson && s.Image.IsHost() {
		s.Config.Labels[labels.Accounts] = labels.PerPerson
	}
	if s.Pinned {
		s.Config.Labels[labels.Pinned] = "exclusive"
	}
	if s.GPUs.Unused {
		s.Config.Labels[labels.GPUMemory] = labels.NoGPU
	}
	if budget := s.GPUs.Budget(); budget > 0 {
		s.Config.Labels[labels.GPUMemory] = strconv.FormatInt(budget, 10)
	}
}

// habits adds warnings of settings that are common in compose files, but unwise or
// without effect on a shared box.
func (b *builder) habits() {
	c := b.compose
	if passwords := PasswordsIn(c.Environment); len(passwords) > 0 {
		b.warn("docker inspect shows %s to everyone who may use Docker; logins through the gateway need none", strings.Join(passwords, " and "))
	}
	if key, by := b.rootOfBox(); len(by) > 0 {
		b.warnAt(key, "%s: whoever is root in it is root on this box", strings.Join(by, ", "))
	}
	b.sharedNamespaces()
	if c.GetScale() != 1 {
		b.warn("one container is made, not %d: a host is one container", c.GetScale())
	}
	switch c.PullPolicy {
	case "", types.PullPolicyMissing, types.PullPolicyIfNotPresent:
	default:
		b.warn("pull_policy %s: an image that is on this box is used", c.PullPolicy)
	}
	if c.Build != nil {
		b.buildHabits()
	}
	if b.service.Image.IsHost() {
		b.hostImageHabits()
	} else {
		b.foreignImageHabits()
	}
}

// PasswordsIn returns the variables from which images with their own sshd take
// passwords.
func PasswordsIn(environment types.MappingWithEquals) []string {
	return slices.DeleteFunc([]string{"ROOT_PASSWORD", "DEVELOPER_PASSWORD"}, func(name string) bool {
		return environment[name] == nil
	})
}

// buildHabits adds warnings of directories in a build context that hosts write to. An
// unreadable context is reported with the image.
func (b *builder) buildHabits() {
	if dirs, err := b.mountedInContext(b.compose.Build.Context); err == nil && len(dirs) > 0 {
		b.warn("its build context has %s, which hosts write into, so each change there builds its image again; name it in .dockerignore if the build does not need it", strings.Join(dirs, ", "))
	}
}

// foreignImageHabits adds warnings of settings that only the host image supports.
func (b *builder) foreignImageHabits() {
	for _, key := range []struct {
		name  string
		given bool
	}{
		{"accounts", b.settings.perPerson}, {"docker_cli", b.settings.dockerCLI}, {"packages", len(b.settings.packages) > 0},
		{"peers", b.settings.peers != nil}, {"sudo", b.settings.sudo != ""},
	} {
		if key.given {
			b.warn("%s.%s is for the host image; this one is made elsewhere", Extension, key.name)
		}
	}
}

func (b *builder) hostImageHabits() {
	if why := image.PastSupport(b.service.Image.Base, b.site.Today); why != "" {
		b.warn("%s", why)
	}
	if b.settings.sudo == image.SudoPassword && b.compose.Environment["DEVELOPER_PASSWORD"] == nil {
		b.warn("%s.sudo: password, but DEVELOPER_PASSWORD gives %s none; passwd as root in the host sets one", Extension, image.Account)
	}
	if len(b.compose.Command) > 0 {
		b.warn("command is not run: the host image runs sshd")
	}
	if container.NetworkMode(b.compose.NetworkMode).IsHost() {
		b.warn("network_mode host: its sshd takes port 22 of this box")
	}
}
