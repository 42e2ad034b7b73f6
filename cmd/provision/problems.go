package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"berth/box"
	"berth/image"
	"berth/provision/compose"
	"berth/provision/plan"
)

// problem is something wrong, and what to do about it.
type problem struct{ what, cure string }

const (
	leastEngine  = "20.10"
	cdiEngine    = "28.2"   // hands out CDI devices unasked
	safeToolkit  = "1.17.8" // the last container escape known is closed (CVE-2025-23266)
	leastDisk    = 10       // percent
	leastFiles   = 4096     // data loaders open thousands
	dockersShm   = 64 << 20
	generateCDI  = "nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml"
	fixedByHooks = "CDI keeps it: an engine of " + cdiEngine + " or later and " + generateCDI
)

// problems follow from a checkup alone.
func (c *checkup) problems() []problem {
	all := slices.Concat(c.engineProblems(), c.gpuProblems())
	for _, e := range c.containers {
		all = append(all, c.containerProblems(e)...)
	}
	return all
}

func (c *checkup) engineProblems() []problem {
	if c.silent != "" {
		return []problem{{c.silent, "until then nothing is known of the containers: systemctl start docker, or see journalctl -u docker"}}
	}
	var all []problem
	if !box.AtLeast(c.engine, leastEngine) {
		all = append(all, problem{"the Docker engine is " + c.engine, "install " + leastEngine + " or later"})
	}
	if c.diskSize > 0 && c.diskFree*100/c.diskSize < leastDisk {
		all = append(all, problem{
			fmt.Sprintf("%s of %s are free in %s", box.Bytes(c.diskFree), box.Bytes(c.diskSize), c.dataRoot),
			"docker image prune removes what no container uses; docker system df says what takes the room",
		})
	}
	if c.unsynchronised {
		all = append(all, problem{"the clock is not synchronised", "the gateway's certificates live a minute: timedatectl set-ntp true"})
	}
	return all
}

func (c *checkup) gpuProblems() []problem {
	b := c.box
	if b.NoGPUs != "" {
		return []problem{{"the GPUs cannot be counted: " + b.NoGPUs, "until then no GPU reservation is granted"}}
	}
	if len(b.Devices()) == 0 {
		return nil
	}
	var all []problem
	switch {
	case b.Toolkit == "":
		all = append(all, problem{"there is no NVIDIA container toolkit (nvidia-ctk)", "without it no container gets a GPU: install nvidia-container-toolkit, and restart dockerd"})
	case !box.AtLeast(b.Toolkit, safeToolkit):
		all = append(all, problem{"the NVIDIA container toolkit is " + b.Toolkit, "before " + safeToolkit + " a container can break out of it (CVE-2025-23266): upgrade it"})
	}
	for _, gpu := range b.GPUs {
		if gpu.Recovery != "" {
			all = append(all, problem{
				"GPU " + gpu.UUID + " does not work: its driver asks for a " + strings.ToLower(gpu.Recovery),
				"no host is given it until then; with nothing on it, nvidia-smi --gpu-reset -i " + gpu.UUID + ", or reboot",
			})
		}
	}
	if c.staleCDI != "" {
		all = append(all, problem{c.staleCDI + " is of another driver than the " + b.Driver + " that runs", "containers would miss its libraries: " + generateCDI})
	}
	missing := slices.DeleteFunc(b.Devices(), func(d box.Device) bool { return b.KnowsCDI(d.UUID) })
	switch {
	case len(b.CDI) > 0 && len(missing) > 0:
		all = append(all, problem{"the CDI specification knows no " + missing[0].String(), "it is older than the GPUs: " + generateCDI})
	case len(missing) > 0 && c.cgroupDriver == "systemd":
		all = append(all, problem{
			"GPUs come by NVIDIA's hook, and the cgroup driver is systemd",
			`a systemctl daemon-reload takes them away; ` + fixedByHooks + `, or "exec-opts": ["native.cgroupdriver=cgroupfs"] in daemon.json`,
		})
	}
	return all
}

func (c *checkup) containerProblems(e plan.Container) []problem {
	if !e.Running {
		return nil
	}
	var all []problem
	add := func(what, cure string) { all = append(all, problem{"container " + e.Name + " " + what, cure}) }
	for port, bindings := range e.HostConfig.PortBindings {
		if port == network.MustParsePort("22/tcp") && len(bindings) > 0 {
			add("publishes its ssh as port "+bindings[0].HostPort, "the gateway is the way in: take it out of ports, and provision up")
		}
	}
	for _, m := range e.Mounts {
		if m.Source != "" && compose.LeadsToDockerSocket(m.Source) {
			add("has the Docker socket, by "+m.Source, "who enters it is root on this machine: take it out of volumes")
		}
	}
	if c.nvmlFails[e.ID] {
		add(`says "Failed to initialize NVML"`, "it has lost its GPU: provision restart "+e.HostName()+"; "+fixedByHooks)
	}
	if files := c.openFiles[e.ID]; files > 0 && files < leastFiles && !isHostImage(e) {
		add(fmt.Sprintf("may have %d files open", files), "data loaders want more: ulimits: {nofile: 524288}")
	}
	if len(e.Claim.GPUs) > 0 && e.HostConfig.ShmSize == dockersShm && !e.HostConfig.IpcMode.IsHost() {
		add("has a GPU and 64 MiB of /dev/shm", "data loaders of PyTorch die of it: shm_size: 8g")
	}
	return all
}

// secretsIn are values in the files that ought not to be there. Those from
// variables are not in the files.
func secretsIn(p *compose.Project) []problem {
	var all []problem
	name := regexp.MustCompile(`(?i)(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY)$`)
	for _, service := range slices.Sorted(maps.Keys(p.Services)) {
		environment := p.Services[service].Environment
		for _, variable := range slices.Sorted(maps.Keys(environment)) {
			if value := environment[variable]; name.MatchString(variable) && value != nil && *value != "" {
				all = append(all, problem{
					fmt.Sprintf("%s%s: %s is a secret in its environment", p.Sources.Where("services", service, "environment"), service, variable),
					"docker inspect shows it to everyone who may use Docker; passwords belong into gateway.yaml, as hashes: provision import",
				})
			}
		}
	}
	return all
}

// isHostImage reports whether it runs the host image, whose entrypoint sees to its
// own limits.
func isHostImage(e plan.Container) bool {
	return slices.ContainsFunc(e.Mounts, func(m container.MountPoint) bool { return m.Destination == image.HostKeys })
}
