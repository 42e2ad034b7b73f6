package pods

import (
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/berth-ssh/berth/ledger"
	"github.com/berth-ssh/berth/provision/compose"
)

// rule is about a key that no pod carries out: where it is and what to say.
type rule struct {
	key string
	is  bool
	why string
}

// impossible returns the keys by which a service asks for what a pod cannot be or
// have. They are refused: ignoring them would make another host.
func impossible(c types.ServiceConfig) []rule {
	const (
		swap     = "the node decides about swap"
		node     = "a pod does not get the node's own"
		alone    = "a pod shares no namespace with another one"
		noWeight = "say reservations.cpus and limits.cpus, by which a pod's CPUs are shared out"
	)
	var deploy types.DeployConfig
	if c.Deploy != nil {
		deploy = *c.Deploy
	}
	limits := deploy.Resources.Limits
	return []rule{
		{"build", c.Build != nil && c.Image == "", "a cluster pulls images and builds none: add image: with the name of a registry, which docker compose build and docker compose push bring there"},
		{"cgroup", c.Cgroup != "" && c.Cgroup != "private", node},
		{"cgroup_parent", c.CgroupParent != "", "the kubelet decides about it"},
		{"cpu_period", c.CPUPeriod != 0, noWeight},
		{"cpu_quota", c.CPUQuota != 0, noWeight},
		{"cpu_shares", c.CPUShares != 0, noWeight},
		{"cpuset", c.CPUSet != "", "the kubelet chooses the cores"},
		{"deploy.resources.limits.pids", limits != nil && limits.Pids != 0, "the kubelet limits the processes of a pod (podPidsLimit)"},
		{"deploy.restart_policy", restartsNotAlways(deploy.RestartPolicy), "a StatefulSet starts its pod again, however it ended; take it out"},
		{"device_cgroup_rules", len(c.DeviceCgroupRules) > 0, "a pod gets no devices of its node but those of its device plugins"},
		{"devices", len(c.Devices) > 0, "a pod gets no devices of its node but those of its device plugins; ask for GPUs with gpus: [{count: 1}]"},
		{"domainname", c.DomainName != "", "a pod's domain is the cluster's"},
		{"ipc", c.Ipc != "" && c.Ipc != "private" && c.Ipc != "shareable", alone},
		{"mac_address", c.MacAddress != "", "the pod network gives addresses"},
		{"mem_swappiness", c.MemSwappiness != 0, swap},
		{"memswap_limit", c.MemSwapLimit != 0, swap},
		{"network_mode", c.NetworkMode != "" && c.NetworkMode != "bridge" && c.NetworkMode != "default", "a pod is on the pod network, and on no other"},
		{"oom_kill_disable", c.OomKillDisable, node},
		{"oom_score_adj", c.OomScoreAdj != 0, "the kubelet decides about it, by requests and limits"},
		{"pid", c.Pid != "", alone},
		{"pids_limit", c.PidsLimit != 0, "the kubelet limits the processes of a pod (podPidsLimit)"},
		{"provider", c.Provider != nil, "it is a program that docker compose runs, and no pod"},
		{"restart", c.Restart == "no" || strings.HasPrefix(c.Restart, "on-failure"), "a StatefulSet starts its pod again, however it ended; take it out"},
		{"stop_signal", c.StopSignal != "", "a pod is stopped by the signal that its image says"},
		{"storage_opt", len(c.StorageOpt) > 0, "the node decides about it"},
		{"ulimits", len(c.Ulimits) > 0, "the node's container runtime sets them"},
		{"userns_mode", c.UserNSMode != "", node},
		{"uts", c.Uts != "", node},
	}
}

func restartsNotAlways(p *types.RestartPolicy) bool {
	return p != nil && (p.Condition == "none" || p.Condition == "on-failure")
}

// impossibleGPUs returns the requests for GPUs that a cluster does not know.
func impossibleGPUs(c types.ServiceConfig, gpus compose.GPUs) []rule {
	const where = "deploy.resources.reservations.devices"
	at := where
	switch {
	case len(c.Gpus) > 0:
		at = "gpus"
	case c.Environment[compose.EnvVisible] != nil:
		at = "environment"
	}
	return []rule{
		{at, len(gpus.IDs) > 0, fmt.Sprintf("it names the GPUs %s (device_ids), and the cluster chooses them; say how many: count: %d", strings.Join(gpus.IDs, ", "), len(gpus.IDs))},
		{at, gpus.Count == ledger.Every, "it asks for all GPUs, and the cluster counts them; say how many: count: 1"},
		{extension("gpu"), gpus.Share, "the cluster's device plugin decides whether GPUs are shared (time-slicing, MPS); take share out"},
		{extension("gpu"), gpus.Unused, "a pod sees only the GPUs that it asks for; take gpu: none out"},
	}
}

// impossibleSettings returns the keys of x-berth that only a box can carry out.
func impossibleSettings(c types.ServiceConfig) []rule {
	keys, _ := c.Extensions[compose.Extension].(map[string]any)
	has := func(key string) bool { return keys[key] != nil && keys[key] != false }
	const hostImage = "it is for the host image, which is built on a box; it has to be in the image that is pulled"
	return []rule{
		{extension("accounts"), has("accounts"), "no accounts are made in pods"},
		{extension("base"), has("base"), hostImage},
		{extension("cpus"), has("cpus"), "the kubelet chooses the cores (its static CPU manager gives whole ones)"},
		{extension("docker_cli"), has("docker_cli"), hostImage},
		{extension("docker_socket"), has("docker_socket"), "a pod does not get its node's engine"},
		{extension("packages"), has("packages"), hostImage},
		{extension("peers"), has("peers"), hostImage},
		{extension("sudo"), has("sudo"), hostImage},
	}
}

func extension(key string) string { return compose.Extension + "." + key }

// withoutConsent returns the keys by which root in a pod becomes root on its node.
func withoutConsent(c types.ServiceConfig, consent bool) []rule {
	const ask = "whoever is root in it is root on its node; x-berth.cluster: {privileged: true} allows it"
	all := []rule{{"privileged", c.Privileged && !consent, ask}}
	for _, name := range c.CapAdd {
		all = append(all, rule{"cap_add", compose.IsRootCapability(name) && !consent, name + ": " + ask})
	}
	for _, option := range c.SecurityOpt {
		all = append(all, rule{"security_opt", !isNoNewPrivileges(option), option + ": the cluster's policies decide about it"})
	}
	return all
}

// otherwise returns the keys on which only a name, an order or a default depends that
// a cluster has differently. They give warnings.
func otherwise(c types.ServiceConfig, pod string) []rule {
	named := len(c.Networks)
	if _, isDefault := c.Networks["default"]; isDefault {
		named--
	}
	return []rule{
		{"build", c.Build != nil && c.Image != "", "a cluster builds no images; " + c.Image + " is pulled (docker compose build and docker compose push bring it there)"},
		{"configs", len(c.Configs) > 0, "no pod gets them; in a cluster, a ConfigMap has such files"},
		{"container_name", c.ContainerName != "", "its pod is called " + pod},
		{"hostname", c.Hostname != "" && c.Hostname != pod, "its host name is its pod's, " + pod},
		{"logging", c.Logging != nil, "the cluster keeps logs"},
		{"networks", named > 0, "all pods are on the pod network; a NetworkPolicy separates them, and a Service gives one a name"},
		{"secrets", len(c.Secrets) > 0, "no pod gets them; in a cluster, a Secret has such files"},
		{"scale", c.GetScale() != 1, fmt.Sprintf("one pod is made, not %d: a host is one pod", c.GetScale())},
	}
}

// carriedOut returns the keys that pods carry out and that have no rule.
func carriedOut() []string {
	return strings.Fields(`annotations cap_drop command cpus dns dns_opt dns_search entrypoint env_file
		environment expose extends extra_hosts group_add healthcheck image init label_file labels mem_limit mem_reservation profiles
		pull_policy read_only runtime shm_size stdin_open sysctls tmpfs tty user working_dir stop_grace_period
		depends_on volumes ports deploy gpus`)
}
