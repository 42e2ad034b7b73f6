package compose

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/image"
	"github.com/berth-ssh/berth/labels"
)

// config sets the part of the container that does not depend on the box.
func (b *builder) config() {
	c := b.compose
	b.service.Config = container.Config{
		Hostname:     b.hostname(),
		Domainname:   c.DomainName,
		User:         c.User,
		ExposedPorts: b.exposedPorts(),
		Tty:          c.Tty,
		OpenStdin:    c.StdinOpen,
		Env:          b.environment(),
		Cmd:          []string(c.Command),
		Healthcheck:  healthcheck(c.HealthCheck),
		Image:        b.service.Image.Ref,
		WorkingDir:   c.WorkingDir,
		Entrypoint:   entrypoint(c.Entrypoint),
		StopSignal:   c.StopSignal,
		StopTimeout:  seconds(c.StopGracePeriod),
	}
}

// hostname returns the container's host name, which the prompt shows: by default the
// name that people log in to.
func (b *builder) hostname() string {
	mode := container.NetworkMode(b.compose.NetworkMode)
	if mode.IsHost() || mode.IsContainer() || strings.HasPrefix(string(mode), types.ServicePrefix) {
		return b.compose.Hostname // the engine refuses a name of ours in these modes
	}
	return cmp.Or(b.compose.Hostname, b.service.Host)
}

func (b *builder) environment() []string {
	var env []string
	for _, name := range slices.Sorted(maps.Keys(b.compose.Environment)) {
		if value := b.compose.Environment[name]; value != nil && (name != EnvVisible || b.settings.noGPU) {
			env = append(env, name+"="+*value)
		}
	}
	// CUDA images ask for every GPU in a variable, and get them without any
	// reservation if nvidia is the engine's default runtime.
	if b.service.GPUs.None() && !(b.settings.noGPU && b.seesGPUs()) {
		env = append(env, EnvVisible+"=void")
	}
	if b.service.Image.IsHost() {
		env = append(env, labels.EnvUserCA+"="+b.site.UserCA)
		if b.settings.perPerson {
			env = append(env, image.EnvAccounts+"="+labels.PerPerson)
			if shared := b.sharedVolumes(); len(shared) > 0 {
				env = append(env, image.EnvShared+"="+strings.Join(shared, ":"))
			}
		}
		if b.settings.sudo != "" {
			env = append(env, image.EnvSudo+"="+b.settings.sudo)
		}
	}
	return env
}

// seesGPUs reports whether the files themselves let the service see GPUs.
func (b *builder) seesGPUs() bool {
	return b.compose.Environment[EnvVisible] != nil || slices.ContainsFunc(deviceRequests(b.compose), IsGPU)
}

func entrypoint(command types.ShellCommand) []string {
	if command != nil && len(command) == 0 {
		return []string{""} // how the engine spells "not the image's"
	}
	return command
}

func healthcheck(h *types.HealthCheckConfig) *container.HealthConfig {
	switch {
	case h == nil:
		return nil
	case h.Disable:
		return &container.HealthConfig{Test: []string{"NONE"}}
	}
	check := &container.HealthConfig{
		Test:        h.Test,
		Interval:    duration(h.Interval),
		Timeout:     duration(h.Timeout),
		StartPeriod: duration(h.StartPeriod),
	}
	if h.Retries != nil {
		check.Retries = int(*h.Retries)
	}
	return check
}

func duration(d *types.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

func seconds(d *types.Duration) *int {
	if d == nil {
		return nil
	}
	n := int(time.Duration(*d).Round(time.Second).Seconds())
	return &n
}
