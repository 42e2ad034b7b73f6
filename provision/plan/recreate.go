package plan

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/image"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
)

// Recreation says how a container is replaced by a new one.
type Recreation struct {
	Old   Container
	Keep  bool     // what was written in it, outside of volumes, is carried over
	Copy  bool     // its image changes: what was written outside of system directories is copied
	Fills []string // directories of it that are copied into new volumes
	Group int      // recreations with the same number belong together: either all of them happen or none
}

// recreation returns how the container is recreated. What was written in a container
// of docker compose is copied also to another image, so that people who move to Berth
// keep their work.
func (f *fate) recreation(have Observed, group int, o Options) Recreation {
	r := Recreation{Old: f.is, Group: group}
	wanted := f.service.Keep && !o.Fresh && f.is.State != "created"
	r.Keep = wanted && f.sameImage(have)
	r.Copy = wanted && !r.Keep && f.is.Project() == ""
	for _, v := range f.newVolumes(have) {
		r.Fills = append(r.Fills, v.Target)
	}
	return r
}

// unkept returns a line for each container whose written files would have to be
// carried over, if the engine cannot do that. It is checked before anything is
// stopped.
func unkept(fates []*fate, have Observed, o Options) []string {
	var lines []string
	for _, f := range fates {
		if f.recreates() && have.NoKeep != "" && f.recreation(have, 0, o).Keep {
			lines = append(lines, f.service.Name+": "+f.cause+"; but what was written in it cannot be carried over: "+have.NoKeep+"; --fresh recreates it without")
		}
	}
	return lines
}

// Together returns how many of the first steps are recreations of one group; 0 if the
// first step is none.
func Together(steps []Step) int {
	n := 0
	for n < len(steps) && steps[n].Op == OpRecreate && steps[n].Recreation.Group == steps[0].Recreation.Group {
		n++
	}
	return n
}

// sameImage reports whether the new container is created from the same image as the
// old one was.
func (f *fate) sameImage(have Observed) bool {
	id := have.Images[f.service.Image.Ref]
	return id != "" && id == f.is.madeFrom()
}

// newVolumes returns the mounts of new volumes whose initial content is a directory
// of the old container: nothing else is mounted there.
func (f *fate) newVolumes(have Observed) []mount.Mount {
	var all []mount.Mount
	if !f.there || f.is.State == "created" {
		return nil
	}
	for _, m := range f.service.HostConfig.Mounts {
		copies := m.VolumeOptions == nil || !m.VolumeOptions.NoCopy
		on, is := have.Volumes[m.Source]
		begins := !is || on[labels.Fills] == f.is.ID
		if m.Type == mount.TypeVolume && m.Source != "" && copies && begins && f.is.mountAt(m.Target) == nil && !f.isOwnVolume(m.Source) {
			all = append(all, m)
		}
	}
	return all
}

// isOwnVolume reports whether provision, and not the files, added the volume.
func (f *fate) isOwnVolume(name string) bool {
	return slices.ContainsFunc(f.service.Volumes, func(v compose.Volume) bool { return v.Name == name })
}

// mountAt returns what the container has mounted at a path or above it.
func (c Container) mountAt(target string) *container.MountPoint {
	for i, m := range c.Mounts {
		if within(target, m.Destination) {
			return &c.Mounts[i]
		}
	}
	return nil
}

func within(target, dir string) bool {
	target, dir = path.Clean(target), path.Clean(dir)
	return target == dir || strings.HasPrefix(target, strings.TrimSuffix(dir, "/")+"/")
}

// hidden returns a warning for each directory of a container that a volume with
// content of its own will hide.
func (f *fate) hidden(have Observed) []string {
	var lines []string
	for _, m := range f.service.HostConfig.Mounts {
		on, is := have.Volumes[m.Source]
		if m.Type == mount.TypeVolume && is && on[labels.Fills] != f.is.ID && f.is.mountAt(m.Target) == nil && !f.isOwnVolume(m.Source) {
			lines = append(lines, f.service.Name+": what "+f.is.Name+" has in "+m.Target+" will be hidden by volume "+m.Source+", which has data of its own; copy it there first if it is wanted")
		}
	}
	return lines
}

// parted returns a warning for each named volume of the container whose path will
// have another volume, or none, in the new one: its content is not carried over.
func (f *fate) parted() []string {
	var lines []string
	for _, m := range f.is.Mounts {
		if m.Type != mount.TypeVolume || isNameless(m.Name) || within(m.Destination, path.Dir(image.Peers)) { // the last is a volume of ours
			continue
		}
		i := slices.IndexFunc(f.service.HostConfig.Mounts, func(w mount.Mount) bool { return w.Target == m.Destination })
		switch {
		case i < 0:
			lines = append(lines, fmt.Sprintf("%s: %s will be without what is there now, which is in volume %s and stays there", f.service.Name, m.Destination, m.Name))
		case f.service.HostConfig.Mounts[i].Source != m.Name:
			lines = append(lines, fmt.Sprintf("%s: %s will have what is in %s; what is there now is in volume %s, and stays there",
				f.service.Name, m.Destination, f.service.HostConfig.Mounts[i].Source, m.Name))
		}
	}
	return lines
}

// isNameless reports whether a volume is anonymous: it has a name that the engine has
// generated.
func isNameless(volume string) bool {
	return regexp.MustCompile(`^([0-9a-f]{64})?$`).MatchString(volume)
}

// nameless returns the container's anonymous volumes, by the path where the new
// container will mount them.
func (c Container) nameless(want compose.Wanted) map[string]string {
	all := map[string]string{}
	for _, m := range c.Mounts {
		named := slices.ContainsFunc(want.Volumes, func(v compose.Volume) bool { return v.Name == m.Name })
		if m.Type == mount.TypeVolume && !named {
			all[m.Destination] = m.Name
		}
	}
	return all
}

// withNameless returns the service with its container's anonymous volumes at the
// paths where the files want anonymous ones.
func withNameless(s compose.Service, volumes map[string]string) compose.Service {
	s.HostConfig.Mounts = slices.Clone(s.HostConfig.Mounts)
	for i, m := range s.HostConfig.Mounts {
		if m.Type == mount.TypeVolume && m.Source == "" {
			s.HostConfig.Mounts[i].Source = volumes[m.Target]
		}
	}
	return s
}

// sharesWith reports whether a service's container shares the network, ipc or process
// namespace of a container of this name.
func sharesWith(h container.HostConfig, name string) bool {
	return slices.Contains(sharedModes(h), compose.ContainerMode(name))
}

// sharesAny reports whether a service's container shares a namespace of any other
// container.
func sharesAny(h container.HostConfig) bool {
	return slices.ContainsFunc(sharedModes(h), func(mode string) bool { return strings.HasPrefix(mode, compose.ContainerMode("")) })
}

func sharedModes(h container.HostConfig) []string {
	return []string{string(h.NetworkMode), string(h.IpcMode), string(h.PidMode)}
}

// follow also recreates containers that share a namespace of a recreated one, since
// the namespace disappears with that. If people are on such a container, neither is
// recreated.
func follow(fates []*fate) {
	for changed := true; changed; {
		changed = false
		for _, f := range fates {
			if !f.there || !sharesAny(f.service.HostConfig) {
				continue
			}
			for _, x := range fates {
				if f == x || !x.there || !sharesWith(f.service.HostConfig, x.service.Container) {
					continue
				}
				changed = f.followOne(x) || changed
			}
		}
	}
}

func (f *fate) followOne(x *fate) (changed bool) {
	switch {
	case x.recreates() && f.inUse:
		x.inUse, x.is.Users = true, append(x.is.Users, f.is.Users...)
		return true
	case x.recreates() && f.cause == "":
		f.cause = x.service.Name + ", which it shares a namespace with, is recreated"
		return true
	}
	return false
}

// groups numbers the recreations from 1 on. Two of them are in one group if one needs
// what the other's container has until it is stopped: a GPU, a port, an address, a
// namespace.
func groups(fates []*fate) map[*fate]int {
	of := map[*fate]int{}
	var contenders []*fate
	sharing := slices.ContainsFunc(fates, func(f *fate) bool { return sharesAny(f.service.HostConfig) })
	for i, f := range fates {
		if !f.recreates() {
			continue
		}
		of[f] = i + 1
		if !sharing && !f.contends() {
			continue
		}
		contenders = append(contenders, f)
		for _, g := range contenders {
			if n := of[g]; n != of[f] && (f.waitsFor(g) || g.waitsFor(f)) {
				joined := of[f]
				for member, number := range of {
					if number == joined {
						of[member] = n
					}
				}
			}
		}
	}
	return of
}

// contends reports whether a service or its container has something that only one
// container can have at a time (a GPU, a port, an address), or shares another one's
// namespace.
func (f *fate) contends() bool {
	return len(f.given.Devices)+len(f.is.Claim.GPUs)+len(f.service.HostConfig.PortBindings)+len(f.is.HostConfig.PortBindings) > 0 ||
		f.fixed() || sharesAny(f.service.HostConfig)
}

// waitsFor reports whether f's new container needs what other's old container has.
func (f *fate) waitsFor(other *fate) bool {
	for _, d := range f.given.Devices {
		if slices.ContainsFunc(other.is.Claim.GPUs, func(h box.Hold) bool { return h.UUID == d.UUID }) {
			return true
		}
	}
	for _, bindings := range f.service.HostConfig.PortBindings {
		for _, b := range bindings {
			if b.HostPort != "" && slices.Contains(other.is.publishedPorts(), b.HostPort) {
				return true
			}
		}
	}
	return f.fixed() && other.fixed() || sharesWith(f.service.HostConfig, other.service.Container)
}

// fixed reports whether the files choose an address for the service.
func (f *fate) fixed() bool {
	return slices.ContainsFunc(f.service.Networks, func(a compose.Attachment) bool {
		return a.Settings != nil && (a.Settings.IPAMConfig != nil || len(a.Settings.MacAddress) > 0)
	})
}

func (c Container) publishedPorts() []string {
	var ports []string
	for _, bindings := range c.HostConfig.PortBindings {
		for _, b := range bindings {
			ports = append(ports, b.HostPort)
		}
	}
	return ports
}
