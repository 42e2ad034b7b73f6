package doctor

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/provision/compose"
)

// Problem is something wrong, and what to do about it.
type Problem struct{ What, Cure string }

const (
	leastEngine = "20.10"
	cdiEngine   = "28.2"   // hands out CDI devices unasked
	safeToolkit = "1.17.8" // the last container escape known is closed (CVE-2025-23266)
	leastDisk   = 10       // percent
	leastFiles  = 4096     // data loaders open thousands
	dockersShm  = 64 << 20
	generateCDI = "nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml"
	cdiKeepsIt  = "CDI keeps it: an engine of " + cdiEngine + " or later and " + generateCDI
)

// Problems returns what is wrong, the engine's problems first. It uses only the
// checkup.
func (c *Checkup) Problems() []Problem {
	all := slices.Concat(c.engineProblems(), c.gpuProblems())
	for _, e := range c.Containers {
		all = append(all, e.problems()...)
	}
	for _, e := range c.Ended {
		if e.Why.IsFault() {
			all = append(all, Problem{"container " + e.Name + " does not run: " + e.Why.Text, e.cure()})
		}
	}
	for _, k := range c.Kept {
		all = append(all, Problem{k.String(), k.GetBack() + "; " + k.Remove() + " removes them for good"})
	}
	return all
}

func (e Ended) cure() string {
	switch e.Why.Kind {
	case docker.OutOfMem:
		return "it wants more than it may have: raise deploy.resources.limits.memory, then berth-provision up and berth-provision start " + e.Host
	case docker.NotStarted:
		return "that is the engine's answer: when it is mended, berth-provision start " + e.Host
	}
	return "berth-provision logs " + e.Host + " shows what it wrote, berth-provision start " + e.Host + " tries again"
}

func (c *Checkup) engineProblems() []Problem {
	if c.Silent != "" {
		return []Problem{{c.Silent, "until then nothing is known of the containers: systemctl start docker, or see journalctl -u docker"}}
	}
	var all []Problem
	if !box.AtLeast(c.Engine, leastEngine) {
		all = append(all, Problem{"the Docker engine is " + c.Engine, "install " + leastEngine + " or later"})
	}
	if c.DiskSize > 0 && c.DiskFree*100/c.DiskSize < leastDisk {
		all = append(all, Problem{
			fmt.Sprintf("%s of %s are free in %s", box.Bytes(c.DiskFree), box.Bytes(c.DiskSize), c.DataRoot),
			"docker image prune removes what no container uses; docker system df says what takes the room",
		})
	}
	if c.Unsynchronised {
		all = append(all, Problem{"the clock is not synchronised", "the gateway's certificates live a minute: timedatectl set-ntp true"})
	}
	return all
}

func (c *Checkup) gpuProblems() []Problem {
	b := c.Box
	if b.NoGPUs != "" {
		return []Problem{{"the GPUs cannot be counted: " + b.NoGPUs, "until then no GPU reservation is granted"}}
	}
	if len(b.Devices()) == 0 {
		return nil
	}
	var all []Problem
	switch {
	case b.Toolkit == "":
		all = append(all, Problem{"there is no NVIDIA container toolkit (nvidia-ctk)", "without it no container gets a GPU: install nvidia-container-toolkit, and restart dockerd"})
	case !box.AtLeast(b.Toolkit, safeToolkit):
		all = append(all, Problem{"the NVIDIA container toolkit is " + b.Toolkit, "before " + safeToolkit + " a container can break out of it (CVE-2025-23266): upgrade it"})
	}
	for _, gpu := range b.GPUs {
		if gpu.Recovery != "" {
			all = append(all, Problem{
				"GPU " + gpu.UUID + " does not work: its driver asks for a " + strings.ToLower(gpu.Recovery),
				"no host is given it until then; with nothing on it, nvidia-smi --gpu-reset -i " + gpu.UUID + ", or reboot",
			})
		}
	}
	if c.StaleCDI != "" {
		all = append(all, Problem{c.StaleCDI + " is of another driver than the " + b.Driver + " that runs", "containers would miss its libraries: " + generateCDI})
	}
	missing := slices.DeleteFunc(b.Devices(), func(d box.Device) bool { return b.KnowsCDI(d.UUID) })
	switch {
	case len(b.CDI) > 0 && len(missing) > 0:
		all = append(all, Problem{"the CDI specification knows no " + missing[0].String(), "it is older than the GPUs: " + generateCDI})
	case len(missing) > 0 && c.CgroupDriver == "systemd":
		all = append(all, Problem{
			"GPUs come by NVIDIA's hook, and the cgroup driver is systemd",
			`a systemctl daemon-reload takes them away; ` + cdiKeepsIt + `, or "exec-opts": ["native.cgroupdriver=cgroupfs"] in daemon.json`,
		})
	}
	return all
}

func (e Container) problems() []Problem {
	var all []Problem
	add := func(what, cure string) { all = append(all, Problem{"container " + e.Name + " " + what, cure}) }
	if e.SSHPort != "" {
		add("publishes its ssh as port "+e.SSHPort, "the gateway is the way in: take it out of ports, and berth-provision up")
	}
	if e.Socket != "" {
		add("has the Docker socket, by "+e.Socket, "who enters it is root on this box: take it out of volumes")
	}
	if e.LostGPU {
		add(`says "Failed to initialize NVML"`, "it has lost its GPU: berth-provision restart "+e.Host+"; "+cdiKeepsIt)
	}
	if e.OpenFiles > 0 && e.OpenFiles < leastFiles && !e.OwnLimits {
		add(fmt.Sprintf("may have %d files open", e.OpenFiles), "data loaders want more: ulimits: {nofile: 524288}")
	}
	if e.HoldsGPU && e.ShmSize == dockersShm && !e.HostIPC {
		add("has a GPU and 64 MiB of /dev/shm", "data loaders of PyTorch die of it: shm_size: 8g")
	}
	return all
}

// Secrets returns a problem for each secret that compose files have in an
// environment. It does not report values that come from variables, which are not in
// the files.
func Secrets(p *compose.Project) []Problem {
	var all []Problem
	name := regexp.MustCompile(`(?i)(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY)$`)
	for _, service := range slices.Sorted(maps.Keys(p.Services)) {
		environment := p.Services[service].Environment
		for _, variable := range slices.Sorted(maps.Keys(environment)) {
			if value := environment[variable]; name.MatchString(variable) && value != nil && *value != "" {
				all = append(all, Problem{
					fmt.Sprintf("%s%s: %s is a secret in its environment", p.Sources.Where("services", service, "environment"), service, variable),
					"docker inspect shows it to everyone who may use Docker; passwords belong into gateway.yaml, as hashes: berth-provision import",
				})
			}
		}
	}
	return all
}
