package compose

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/container"
)

// hostConfig sets the part of the container that depends on this box.
func (b *builder) hostConfig() {
	c := b.compose
	b.service.HostConfig = container.HostConfig{
		Annotations:    c.Annotations,
		CapAdd:         c.CapAdd,
		CapDrop:        c.CapDrop,
		CgroupnsMode:   container.CgroupnsMode(c.Cgroup),
		DNS:            b.ips(c.DNS),
		DNSOptions:     c.DNSOpts,
		DNSSearch:      c.DNSSearch,
		ExtraHosts:     extraHosts(c.ExtraHosts),
		GroupAdd:       c.GroupAdd,
		IpcMode:        container.IpcMode(b.ofService(c.Ipc)),
		LogConfig:      logging(c.Logging),
		NetworkMode:    b.networkMode(),
		OomScoreAdj:    int(c.OomScoreAdj),
		PidMode:        container.PidMode(b.ofService(c.Pid)),
		PortBindings:   b.publishedPorts(),
		Privileged:     c.Privileged,
		ReadonlyRootfs: c.ReadOnly,
		Resources:      b.resources(),
		RestartPolicy:  restartPolicy(c),
		Runtime:        c.Runtime,
		SecurityOpt:    c.SecurityOpt,
		ShmSize:        shmSize(c, b.service.Limits.Memory),
		StorageOpt:     c.StorageOpt,
		Sysctls:        c.Sysctls,
		Tmpfs:          tmpfs(c.Tmpfs),
		UsernsMode:     container.UsernsMode(c.UserNSMode),
		UTSMode:        container.UTSMode(c.Uts),
		Init:           initProcess(c),
	}
	b.mounts()
}

// extraHosts returns a line for each address, ordered by name: the files' order is
// lost when they are read, and a changing order would recreate the container. It is
// never nil: null instead of an empty list would change the hash in an image's tag.
func extraHosts(of types.HostsList) []string {
	lines := []string{}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		for _, address := range of[name] {
			lines = append(lines, name+":"+address)
		}
	}
	return lines
}

// initProcess reports whether an init process runs in the container. By default one
// does, to reap the processes that closed sessions leave behind.
func initProcess(c types.ServiceConfig) *bool {
	if c.Init != nil {
		return c.Init
	}
	yes := true
	return &yes
}

// ofService turns compose's service:name into the engine's container:name, and
// returns every other mode unchanged.
func (b *builder) ofService(mode string) string {
	if service, ok := strings.CutPrefix(mode, types.ServicePrefix); ok {
		return ContainerMode(b.containerName(service))
	}
	return mode
}

// ContainerMode returns the engine's mode for a namespace of another container.
func ContainerMode(container string) string { return types.ContainerPrefix + container }

func logging(l *types.LoggingConfig) container.LogConfig {
	if l == nil {
		return container.LogConfig{}
	}
	return container.LogConfig{Type: l.Driver, Config: l.Options}
}

func tmpfs(entries []string) map[string]string {
	all := map[string]string{}
	for _, entry := range entries {
		path, options, _ := strings.Cut(entry, ":")
		all[path] = options
	}
	return all
}

// restartPolicy reads deploy.restart_policy, or else restart, as compose does.
func restartPolicy(c types.ServiceConfig) container.RestartPolicy {
	if c.Deploy != nil && c.Deploy.RestartPolicy != nil {
		return deployPolicy(*c.Deploy.RestartPolicy)
	}
	name, tries, _ := strings.Cut(c.Restart, ":")
	count, _ := strconv.Atoi(tries) // valid: see refused
	return container.RestartPolicy{Name: container.RestartPolicyMode(name), MaximumRetryCount: count}
}

func deployPolicy(policy types.RestartPolicy) container.RestartPolicy {
	switch policy.Condition {
	case "none":
		return container.RestartPolicy{Name: container.RestartPolicyDisabled}
	case "on-failure":
		tries := uint64(0)
		if policy.MaxAttempts != nil {
			tries = *policy.MaxAttempts
		}
		return container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: int(tries)}
	default:
		return container.RestartPolicy{Name: container.RestartPolicyAlways}
	}
}
