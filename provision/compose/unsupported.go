package compose

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// The compose keys that provision carries out. A key stands for everything below it,
// and * for a name that the file chooses. Every other key gives a warning, so that
// nothing is ignored silently.
const (
	serviceKeys = `
		annotations build.args build.context build.dockerfile build.dockerfile_inline build.extra_hosts
		build.labels build.network build.no_cache build.pull build.shm_size build.target cap_add cap_drop
		cgroup cgroup_parent command configs container_name cpu_period cpu_quota cpu_shares cpus cpuset depends_on
		deploy.replicas deploy.resources.limits.cpus deploy.resources.limits.memory
		deploy.resources.limits.pids deploy.resources.reservations.cpus
		deploy.resources.reservations.devices deploy.resources.reservations.memory
		deploy.restart_policy.condition deploy.restart_policy.max_attempts device_cgroup_rules devices dns
		dns_opt dns_search domainname entrypoint env_file environment expose extends extra_hosts gpus
		group_add healthcheck.disable healthcheck.interval healthcheck.retries
		healthcheck.start_period healthcheck.test healthcheck.timeout hostname image init ipc label_file labels logging mac_address mem_limit
		mem_reservation mem_swappiness memswap_limit network_mode networks.*.aliases networks.*.driver_opts
		networks.*.ipv4_address networks.*.ipv6_address networks.*.link_local_ips networks.*.mac_address
		networks.*.priority oom_kill_disable oom_score_adj pid pids_limit ports privileged profiles
		pull_policy read_only restart runtime scale secrets security_opt shm_size stdin_open stop_grace_period
		stop_signal storage_opt sysctls tmpfs tty ulimits user userns_mode uts volumes working_dir`
	networkKeys = `
		attachable driver driver_opts enable_ipv6 external internal
		ipam.config ipam.driver ipam.options labels name`
	volumeKeys = `driver driver_opts external labels name`
	fileKeys   = `content environment external file name` // of secrets and configs; without a file, their services say so
)

// unsupported returns a warning for each key of the project that provision does
// not carry out.
func (p *Project) unsupported() ([]string, error) {
	all, err := p.keys()
	if err != nil {
		return nil, err
	}
	known := []string{"name"}
	for kind, keys := range map[string]string{"services": serviceKeys, "networks": networkKeys, "volumes": volumeKeys, "secrets": fileKeys, "configs": fileKeys} {
		for _, key := range strings.Fields(keys) {
			known = append(known, kind+".*."+key)
		}
	}
	var warnings []string
	for _, path := range unknownKeys(all, nil, known) {
		warnings = append(warnings, p.Sources.Where(path...)+strings.Join(path, ".")+" is not carried out")
	}
	return warnings, nil
}

// keys returns the project as if it were one file.
func (p *Project) keys() (map[string]any, error) {
	text, err := p.MarshalYAML()
	if err != nil {
		return nil, err
	}
	var all map[string]any
	return all, yaml.Unmarshal(text, &all)
}

// ServiceKeys returns the top-level keys of a service that provision carries out on
// an engine.
func ServiceKeys() []string {
	var names []string
	for _, path := range strings.Fields(serviceKeys) {
		name, _, _ := strings.Cut(path, ".")
		names = append(names, name)
	}
	return slices.Compact(names)
}

func unknownKeys(node map[string]any, at, known []string) (unknown [][]string) {
	for _, key := range slices.Sorted(maps.Keys(node)) {
		path := append(slices.Clone(at), key)
		below, isMap := node[key].(map[string]any)
		exact, leadsOn := match(path, known)
		switch {
		case exact, strings.HasPrefix(key, "x-"), node[key] == nil, isMap && len(below) == 0:
		case leadsOn && isMap:
			unknown = append(unknown, unknownKeys(below, path, known)...)
		default:
			unknown = append(unknown, path)
		}
	}
	return unknown
}

// match reports whether a known key is this path, and whether a known key is below
// it.
func match(path, known []string) (exact, leadsOn bool) {
	for _, pattern := range known {
		keys := strings.Split(pattern, ".")
		if len(keys) < len(path) || !hasPattern(keys[:len(path)], path) {
			continue
		}
		exact = exact || len(keys) == len(path)
		leadsOn = leadsOn || len(keys) > len(path)
	}
	return exact, leadsOn
}

func hasPattern(pattern, path []string) bool {
	for i, key := range pattern {
		if key != "*" && key != path[i] {
			return false
		}
	}
	return true
}
