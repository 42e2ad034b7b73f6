package compose

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/moby/api/types/mount"

	"github.com/berth-ssh/berth/image"
	"github.com/berth-ssh/berth/labels"
)

// mounts sets what is mounted: the service's volumes, without those that no container
// gets, and the gateway's helper.
func (b *builder) mounts() {
	for _, v := range b.compose.Volumes {
		if why := b.leftOut(v); why != "" {
			b.warn("%s left out: %s", nameOf(v), why)
			continue
		}
		if b.hasSocket(v) {
			b.warn("%s: who enters this host has the Docker socket, and is root on this box", nameOf(v))
		}
		b.mount(v)
	}
	if b.service.Image.IsHost() && !b.isMounted(image.HostKeys) {
		volume := b.hostKeysVolume()
		b.addMount(mount.Mount{Type: mount.TypeVolume, Source: volume.Name, Target: image.HostKeys})
		b.service.Volumes = append(b.service.Volumes, volume)
	}
	if b.service.Image.IsHost() && b.settings.perPerson && !b.isMounted(homes) {
		volume := Volume{Name: b.Name + "_" + b.service.Name + "_homes", Driver: "local", Labels: map[string]string{labels.Project: b.Name}}
		b.addMount(mount.Mount{Type: mount.TypeVolume, Source: volume.Name, Target: homes})
		b.service.Volumes = append(b.service.Volumes, volume)
	}
	if b.service.Image.IsHost() && !b.isMounted(image.Peers) && (b.settings.peers == nil || *b.settings.peers) {
		b.addMount(mount.Mount{Type: mount.TypeVolume, Source: b.peersVolume().Name, Target: image.Peers})
		b.service.HasPeers = true
	}
	if b.site.HelperDir != "" {
		b.addMount(mount.Mount{Type: mount.TypeBind, Source: b.site.HelperDir, Target: labels.HelperMount, ReadOnly: true})
	}
}

// homes is the directory with people's homes.
const homes = "/home"

// sharedVolumes returns the paths where the files mount volumes.
func (b *builder) sharedVolumes() []string {
	var targets []string
	for _, v := range b.compose.Volumes {
		if v.Type == types.VolumeTypeVolume && !strings.Contains(v.Target, ":") {
			targets = append(targets, v.Target)
		}
	}
	return targets
}

// hostKeysVolume returns the volume for the host's keys. It outlives the container,
// so that a recreated host keeps the keys that others know.
func (b *builder) hostKeysVolume() Volume {
	return Volume{
		Name:   b.Name + "_" + b.service.Name + "_host_keys",
		Driver: "local",
		Labels: map[string]string{labels.Project: b.Name},
	}
}

// peersVolume returns the volume by which the project's hosts know each other. The
// dot in its name keeps it apart from volumes that compose names after a project and
// a key: no project's name has a dot.
func (p *Project) peersVolume() Volume {
	return Volume{
		Name:     p.Name + ".peers",
		Driver:   "local",
		Labels:   map[string]string{labels.Project: p.Name},
		ForHosts: true,
	}
}

func (b *builder) isMounted(target string) bool {
	return slices.ContainsFunc(b.compose.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == target })
}

func (b *builder) guard() guard { return guardAt(b.site) }

// leftOut returns why the container does not get a mount; "" if it does.
func (b *builder) leftOut(v types.ServiceVolumeConfig) string {
	if v.Type == types.VolumeTypeBind && isText(v) && strings.Contains(v.Source+v.Target, ":") {
		return "the engine would read its colon as the end of a path"
	}
	for _, source := range b.sourcesOf(v) {
		if why := b.guard().refuses(source, b.settings.dockerSocket); why != "" {
			return why
		}
	}
	return ""
}

func (b *builder) hasSocket(v types.ServiceVolumeConfig) bool {
	return slices.ContainsFunc(b.sourcesOf(v), b.guard().leadsToSocket)
}

// nameOf returns a name of a mount for people: its source, or else its path in the
// container.
func nameOf(v types.ServiceVolumeConfig) string { return cmp.Or(v.Source, v.Target) }

func (b *builder) mount(v types.ServiceVolumeConfig) {
	m := mount.Mount{Type: mount.Type(v.Type), Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly}
	switch v.Type {
	case types.VolumeTypeBind:
		if v.Bind != nil && v.Bind.Recursive != "" {
			b.warn("%s: recursive %s is not carried out", v.Target, v.Bind.Recursive)
		}
		if isText(v) {
			b.bind(v)
			return
		}
		m.BindOptions = &mount.BindOptions{Propagation: mount.Propagation(v.Bind.Propagation)}
	case types.VolumeTypeVolume:
		b.volume(&m, v)
	case types.VolumeTypeTmpfs:
		if v.Tmpfs != nil {
			m.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: int64(v.Tmpfs.Size), Mode: os.FileMode(v.Tmpfs.Mode)}
		}
	default:
		b.warn("%s left out: provision mounts no %s", v.Target, v.Type)
		return
	}
	b.addMount(m)
}

func (b *builder) volume(m *mount.Mount, v types.ServiceVolumeConfig) {
	if named, ok := b.Volumes[v.Source]; ok {
		m.Source = named.Name
	}
	if v.Volume == nil {
		return
	}
	m.VolumeOptions = &mount.VolumeOptions{NoCopy: v.Volume.NoCopy, Labels: v.Volume.Labels}
	if v.Volume.Subpath != "" {
		b.warn("%s: the whole volume is mounted; subpath is not carried out", v.Target)
	}
}

// isText reports whether a mount of a path is given to the engine in its older form.
func isText(v types.ServiceVolumeConfig) bool {
	return v.Bind == nil || bool(v.Bind.CreateHostPath) || v.Bind.SELinux != ""
}

// bind adds a mount in the engine's older form, a text with colons. Only this form
// creates a missing directory, as compose does, and knows SELinux; the newer form at
// API 1.41 does neither.
func (b *builder) bind(v types.ServiceVolumeConfig) {
	var options []string
	if v.ReadOnly {
		options = append(options, "ro")
	}
	if v.Bind != nil && v.Bind.Propagation != "" {
		options = append(options, v.Bind.Propagation)
	}
	if v.Bind != nil && v.Bind.SELinux != "" {
		options = append(options, v.Bind.SELinux)
	}
	text := fmt.Sprintf("%s:%s:%s", v.Source, v.Target, strings.Join(options, ","))
	b.service.HostConfig.Binds = append(b.service.HostConfig.Binds, strings.TrimSuffix(text, ":"))
}

func (b *builder) addMount(m mount.Mount) {
	b.service.HostConfig.Mounts = append(b.service.HostConfig.Mounts, m)
}
