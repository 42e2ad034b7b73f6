package compose

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/container"
)

// rootCapabilities are the capabilities with which root in a container can become
// root of the box.
var rootCapabilities = []string{"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF", "PERFMON", "MAC_ADMIN", "MAC_OVERRIDE", "SYSLOG"}

// Paths of the box that lead to root there: whoever can read those of the first list,
// or write those of the second, can become root.
var (
	rootWhenRead    = []string{"/etc/shadow", "/etc/ssh", "/root/.ssh", "/root", "/var/lib", "/var/lib/docker", "/var/lib/containerd"}
	rootWhenWritten = []string{
		"/etc/passwd", "/etc/sudoers", "/etc/sudoers.d", "/etc/pam.d", "/etc/cron.d", "/etc/crontab", "/etc/systemd", "/etc/docker", "/etc/ld.so.preload", "/etc/ld.so.conf.d",
		"/proc", "/sys", "/dev", "/boot", "/usr", "/usr/bin", "/usr/sbin", "/usr/lib", "/bin", "/sbin", "/lib", "/lib64", "/var/spool/cron",
	}
	rootDevice = regexp.MustCompile(`^/dev(/(mem|kmem|port|sd[a-z]+\d*|hd[a-z]+\d*|x?vd[a-z]+\d*|nvme\d+n\d+(p\d+)?|mmcblk\d+(p\d+)?|md\d+|dm-\d+|loop\d+|mapper(/.*)?|disk(/.*)?))?$`)
)

// IsRootCapability reports whether root in a container with this capability can
// become root of the machine.
func IsRootCapability(name string) bool {
	return slices.Contains(rootCapabilities, shortCapability(name))
}

func shortCapability(name string) string { return strings.TrimPrefix(strings.ToUpper(name), "CAP_") }

// rootOfBox returns the settings by which root in the container is, or can become,
// root of the box, and the key of the first one.
func (b *builder) rootOfBox() (key string, by []string) {
	c := b.compose
	add := func(is bool, of, format string, args ...any) {
		if is {
			key, by = cmp.Or(key, of), append(by, fmt.Sprintf(format, args...))
		}
	}
	add(c.Privileged, "privileged", "privileged")
	for _, name := range c.CapAdd {
		add(IsRootCapability(name), "cap_add", "cap_add %s", shortCapability(name))
	}
	add(c.Pid == "host", "pid", "pid: host")
	add(c.UserNSMode == "host", "userns_mode", "userns_mode: host")
	add(container.NetworkMode(c.NetworkMode).IsHost(), "network_mode", "network_mode: host")
	add(c.Cgroup == "host", "cgroup", "cgroup: host")
	for _, option := range c.SecurityOpt {
		key, value, _ := strings.Cut(strings.Replace(option, ":", "=", 1), "=")
		add(value == "unconfined" || key == "label" && value == "disable", "security_opt", "security_opt %s", option)
	}
	for _, rule := range c.DeviceCgroupRules {
		kind := strings.ToLower(strings.TrimSpace(rule))
		add(strings.HasPrefix(kind, "a") || strings.HasPrefix(kind, "b") || strings.HasPrefix(kind, "c *:*") || strings.HasPrefix(kind, "c 1:"), "device_cgroup_rules", "device_cgroup_rules %q", rule)
	}
	for _, d := range c.Devices {
		add(!isCDI(d) && b.guard().isRootDevice(d.Source), "devices", "device %s", d.Source)
	}
	for _, source := range b.rootMounts() {
		add(true, "volumes", "%s", source)
	}
	return key, by
}

// sharedNamespaces warns of namespaces that a container shares with another one, or with the
// box: people in the one are then not separated from those in the other.
func (b *builder) sharedNamespaces() {
	c := b.compose
	for _, n := range []struct{ key, mode, of, box string }{
		{"pid", c.Pid, "whoever is root in one of both is root in the other", ""},
		{"ipc", c.Ipc, "who enters one of both reads and changes the shared memory of the other (/dev/shm)", "who enters it reads and changes the shared memory of this box (/dev/shm)"},
		{"network_mode", c.NetworkMode, "who enters one of both reaches what listens on 127.0.0.1 in the other, and can take its ports", ""},
	} {
		switch {
		case strings.HasPrefix(n.mode, types.ServicePrefix), strings.HasPrefix(n.mode, types.ContainerPrefix):
			b.warnAt(n.key, "%s: %s: %s", n.key, n.mode, n.of)
		case n.mode == "host" && n.box != "":
			b.warnAt(n.key, "%s: host: %s", n.key, n.box)
		}
	}
}

// rootMounts returns the mounts of paths by which one can become root of the box.
func (b *builder) rootMounts() []string {
	var by []string
	g := b.guard()
	for _, v := range b.compose.Volumes {
		if b.leftOut(v) != "" {
			continue
		}
		for _, source := range b.sourcesOf(v) {
			if g.coversAny(source, rootWhenRead) || g.isRootDevice(source) || !v.ReadOnly && g.coversAny(source, rootWhenWritten) {
				by = append(by, source)
			}
		}
	}
	return by
}

func (g guard) coversAny(source string, places []string) bool {
	for _, path := range g.meanings(source) {
		if slices.ContainsFunc(places, func(place string) bool { return isBelow(place, path) }) {
			return true
		}
	}
	return false
}

func (g guard) isRootDevice(source string) bool {
	return slices.ContainsFunc(g.meanings(source), rootDevice.MatchString)
}

// sourcesOf returns the paths of the box that a mount makes visible.
func (b *builder) sourcesOf(v types.ServiceVolumeConfig) []string {
	switch v.Type {
	case types.VolumeTypeBind:
		return []string{v.Source}
	case types.VolumeTypeVolume:
		named := b.Volumes[v.Source]
		return devicesOf(Volume{Driver: named.Driver, Options: named.DriverOpts})
	}
	return nil
}
