package plan

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"

	"github.com/berth-ssh/berth/ledger"
)

// The facts of version 1: every key, and the form of its value. An empty value is no
// fact. A field of the engine's without a line here changes nothing.
// testdata/facts/fields.golden shows what each field writes; a field that is new in
// the engine's library fails that test until somebody has decided about it.
//
// Values with parts are JSON, with the names that the engine used in 2026. Some rules
// are odd (expose, an empty tmpfs and init: false are no facts), but a change of the
// form would recreate every host.

func (f facts) addConfig(c container.Config, digest digestFunc) {
	f.text("hostname", c.Hostname)
	f.text("domainname", c.Domainname)
	f.text("user", c.User)
	f.yes("tty", c.Tty)
	f.yes("stdin_open", c.OpenStdin)
	f.list("command", c.Cmd)
	f.object("healthcheck", healthcheckObject(c.Healthcheck))
	f.text("working_dir", c.WorkingDir)
	f.list("entrypoint", c.Entrypoint)
	f.text("stop_signal", c.StopSignal)
	if c.StopTimeout != nil {
		f.number("stop_grace_period", int64(*c.StopTimeout))
	}
	f.addEnvironment(c.Env, digest)
	f.addLabels(c.Labels)
}

func (f facts) addHostConfig(h container.HostConfig) {
	f.texts("annotations", h.Annotations)
	f.list("cap_add", h.CapAdd)
	f.list("cap_drop", h.CapDrop)
	f.text("cgroupns", string(h.CgroupnsMode))
	f.list("dns", addressTexts(h.DNS))
	f.list("dns_options", h.DNSOptions)
	f.list("dns_search", h.DNSSearch)
	f.list("extra_hosts", h.ExtraHosts)
	f.list("group_add", h.GroupAdd)
	f.yes("init", h.Init != nil && *h.Init)
	f.text("ipc", string(h.IpcMode))
	f.object("logging", object{}.text("Type", h.LogConfig.Type).texts("Config", h.LogConfig.Config))
	f.text("network_mode", string(h.NetworkMode))
	f.number("oom_score_adj", int64(h.OomScoreAdj))
	f.text("pid", string(h.PidMode))
	f.object("ports", portsObject(h.PortBindings))
	f.yes("privileged", h.Privileged)
	f.yes("read_only", h.ReadonlyRootfs)
	f.text("runtime", h.Runtime)
	f.list("security_opt", h.SecurityOpt)
	f.number("shm_size", h.ShmSize)
	f.texts("storage_opt", h.StorageOpt)
	f.texts("sysctls", h.Sysctls)
	f.texts("tmpfs", h.Tmpfs)
	f.text("userns", string(h.UsernsMode))
	f.text("uts", string(h.UTSMode))
	f.addResources(h.Resources)
	f.addVolumes(h)
}

// addResources adds the resources that a container keeps for its whole life.
func (f facts) addResources(r container.Resources) {
	f.text("cgroup_parent", r.CgroupParent)
	f.number("cpu_period", r.CPUPeriod)
	f.number("cpu_quota", r.CPUQuota)
	f.text("cpuset_cpus", r.CpusetCpus)
	f.list("device_cgroup_rules", r.DeviceCgroupRules)
	var devices, requests, ulimits []object
	for _, d := range r.Devices {
		devices = append(devices, object{}.text("PathOnHost", d.PathOnHost).
			text("PathInContainer", d.PathInContainer).text("CgroupPermissions", d.CgroupPermissions).orNull())
	}
	f.objects("devices", devices)
	for _, d := range r.DeviceRequests {
		requests = append(requests, requestObject(d).orNull())
	}
	f.objects("device_requests", requests)
	for _, u := range r.Ulimits {
		ulimits = append(ulimits, object{}.text("Name", u.Name).number("Hard", u.Hard).number("Soft", u.Soft).orNull())
	}
	f.objects("ulimits", ulimits)
	if r.MemorySwappiness != nil {
		f.number("memory_swappiness", *r.MemorySwappiness)
	}
	f.yes("oom_kill_disable", r.OomKillDisable != nil && *r.OomKillDisable)
}

// addVolumes adds a fact for each path where something is mounted.
func (f facts) addVolumes(h container.HostConfig) {
	for _, bind := range h.Binds {
		source, rest, _ := strings.Cut(bind, ":")
		target, options, _ := strings.Cut(rest, ":")
		f["volumes."+target] = strings.TrimSuffix(source+":"+options, ":")
	}
	for _, m := range h.Mounts {
		f["volumes."+m.Target] = mountFact(m)
	}
}

func healthcheckObject(h *container.HealthConfig) object {
	if h == nil {
		return nil
	}
	return object{}.list("Test", h.Test).number("Interval", int64(h.Interval)).number("Timeout", int64(h.Timeout)).
		number("StartPeriod", int64(h.StartPeriod)).number("Retries", int64(h.Retries))
}

func requestObject(d container.DeviceRequest) object {
	o := object{}.text("Driver", d.Driver).number("Count", int64(d.Count)).list("DeviceIDs", d.DeviceIDs).texts("Options", d.Options)
	if len(d.Capabilities) > 0 {
		o["Capabilities"] = d.Capabilities
	}
	return o
}

func portsObject(ports network.PortMap) object {
	all := object{}
	for port, bindings := range ports {
		var at []object
		for _, b := range bindings {
			at = append(at, object{}.text("HostIp", addressText(b.HostIP)).text("HostPort", b.HostPort).orNull())
		}
		if len(at) > 0 {
			all[port.String()] = at
		}
	}
	return all
}

func mountFact(m mount.Mount) string {
	text := string(m.Type)
	if m.Source != "" {
		text = m.Source
	}
	if m.ReadOnly {
		text += ":ro"
	}
	options := object{}
	switch {
	case m.VolumeOptions != nil:
		options.yes("NoCopy", m.VolumeOptions.NoCopy).texts("Labels", m.VolumeOptions.Labels)
	case m.TmpfsOptions != nil:
		options.number("SizeBytes", m.TmpfsOptions.SizeBytes).number("Mode", int64(m.TmpfsOptions.Mode))
	case m.BindOptions != nil:
		options.text("Propagation", string(m.BindOptions.Propagation))
	}
	if len(options) > 0 {
		text += " " + inJSON(options)
	}
	return text
}

// endpointFact returns the text of a service's connection to a network. Here empty
// fields are written, too, in this order.
func endpointFact(s *network.EndpointSettings) string {
	addresses := "null"
	if a := s.IPAMConfig; a != nil {
		var parts []string
		if a.IPv4Address.IsValid() {
			parts = append(parts, `"IPv4Address":`+inJSON(a.IPv4Address.String()))
		}
		if a.IPv6Address.IsValid() {
			parts = append(parts, `"IPv6Address":`+inJSON(a.IPv6Address.String()))
		}
		if len(a.LinkLocalIPs) > 0 {
			parts = append(parts, `"LinkLocalIPs":`+inJSON(addressTexts(a.LinkLocalIPs)))
		}
		addresses = "{" + strings.Join(parts, ",") + "}"
	}
	return `{"IPAMConfig":` + addresses +
		`,"Links":null,"Aliases":` + inJSON(s.Aliases) + `,"DriverOpts":` + inJSON(s.DriverOpts) +
		`,"GwPriority":0,"NetworkID":"","EndpointID":"","Gateway":"","IPAddress":"","MacAddress":` + inJSON(s.MacAddress.String()) +
		`,"IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"DNSNames":null}`
}

// gpusFact returns the text of what a service asks for. It is not the text for
// people, which may change.
func gpusFact(a ledger.GPUAsk) string {
	if len(a.IDs) > 0 {
		return "gpu " + strings.Join(a.IDs, " and ")
	}
	number, what := strconv.FormatInt(a.Count, 10), "gpus"
	if a.Count == ledger.Every {
		number = "every"
	}
	switch {
	case a.MIG != "":
		what = "MIG " + a.MIG
	case a.Model != "":
		what = a.Model
	case a.Count == ledger.Every, a.Count == 1:
		what = "gpu"
	}
	switch {
	case a.Share:
		what += ", shared, with " + bytesFact(a.Memory) + " on it"
	case a.Memory > 0:
		what += " with " + bytesFact(a.Memory)
	}
	return number + " " + what
}

// cpusFact writes an amount of nano CPUs: 0.5, 4.
func cpusFact(nano int64) string { return strconv.FormatFloat(float64(nano)/1e9, 'f', -1, 64) }

// bytesFact returns an amount with at most four digits, in the largest unit in which
// it is at least 1.
func bytesFact(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	amount, unit := float64(n), 0
	for amount >= 1024 && unit < len(units)-1 {
		amount, unit = amount/1024, unit+1
	}
	return fmt.Sprintf("%.4g%s", amount, units[unit])
}
