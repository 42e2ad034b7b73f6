package compose

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// guard knows the paths of the box that no container gets: the sockets of container
// engines, and the gateway's state directory. It judges where a path leads, not how
// it is written: it follows `..`, `//` and links, and treats a second mount of a
// directory as that directory.
type guard struct {
	here   bool // the engine runs on this box, so links can be followed
	socket string
	state  string
}

func guardAt(at Site) guard {
	return guard{here: at.StateDir != "", socket: at.Socket, state: at.StateDir}
}

// socketNames are the names of engines' sockets. Access to one makes a process root
// of the box.
var socketNames = []string{"docker.sock", "containerd.sock", "podman.sock", "crio.sock", "buildkitd.sock"}

// socketPlaces are the usual paths of these sockets; * stands for any one name.
var socketPlaces = []string{
	"/run/docker.sock", "/run/docker/containerd/containerd.sock", "/run/containerd/containerd.sock",
	"/run/podman/podman.sock", "/run/crio/crio.sock", "/run/buildkit/buildkitd.sock",
	"/run/user/*/docker.sock", "/run/user/*/podman/podman.sock",
}

// LeadsToDockerSocket reports whether a path of the box is an engine's socket, or a
// directory that contains one.
func LeadsToDockerSocket(source string) bool { return guard{here: true}.leadsToSocket(source) }

func (g guard) leadsToSocket(source string) bool {
	places := socketPlaces
	if g.socket != "" {
		places = append(slices.Clone(places), g.meanings(g.socket)...)
	}
	for _, path := range g.meanings(source) {
		if slices.Contains(socketNames, filepath.Base(path)) || slices.ContainsFunc(places, func(place string) bool { return g.covers(path, place) }) {
			return true
		}
		for _, name := range socketNames {
			if info, err := os.Lstat(filepath.Join(path, name)); g.here && err == nil && info.Mode()&fs.ModeSocket != 0 {
				return true
			}
		}
	}
	return false
}

// refuses returns why no container may have a path of the box; "" if it may. socket
// says that the files ask for an engine's socket by name.
func (g guard) refuses(source string, socket bool) string {
	switch {
	case !socket && g.leadsToSocket(source):
		return fmt.Sprintf("with the Docker socket one is root on this box; %s.docker_socket: true keeps it", Extension)
	case g.leadsToState(source):
		return "the gateway's keys are there (" + g.state + "), and no container gets them"
	}
	return ""
}

// leadsToState reports whether a path is the gateway's state directory, contains it,
// or is inside it: the keys in it give access to every host.
func (g guard) leadsToState(source string) bool {
	if g.state == "" {
		return false
	}
	for _, path := range g.meanings(source) {
		for _, state := range g.meanings(g.state) {
			if g.covers(path, state) || isBelow(path, state) {
				return true
			}
		}
	}
	return false
}

// covers reports whether place is path or below it. If both exist, it also finds a
// place below another mount of the same directory.
func (g guard) covers(path, place string) bool {
	if isBelow(place, path) {
		return true
	}
	info, err := os.Stat(path)
	if !g.here || err != nil {
		return false
	}
	for parent := place; ; parent = filepath.Dir(parent) {
		if other, err := os.Stat(parent); err == nil && os.SameFile(info, other) {
			return true
		}
		if parent == "/" || parent == "." {
			return false
		}
	}
}

// isBelow reports whether a place is dir or below it. In the place * stands for any
// one name.
func isBelow(place, dir string) bool {
	names, above := strings.Split(strings.Trim(place, "/"), "/"), strings.Split(strings.Trim(dir, "/"), "/")
	if dir == "/" {
		return true
	}
	if len(above) > len(names) {
		return false
	}
	for i, name := range above {
		if names[i] != name && names[i] != "*" && name != "*" {
			return false
		}
	}
	return true
}

// meanings returns the paths to which a path may lead: by the engine's rule, which
// removes .. in the text, and by the kernel's, which follows links first. /var/run is
// /run on every box.
func (g guard) meanings(path string) []string {
	clean := filepath.Clean(path)
	all := []string{clean}
	if rest, ok := strings.CutPrefix(clean, "/var/run"); ok && (rest == "" || rest[0] == '/') {
		all = append(all, filepath.Clean("/run"+rest))
	}
	if g.here {
		all = append(all, resolve(clean), resolve(path))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// resolve returns where a path leads when all links in its existing part are
// followed. The rest need not exist.
func resolve(path string) string {
	const mostLinks = 255
	done, rest := "/", strings.Split(path, "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		next := filepath.Join(done, name) // done has no links, so Join resolves .. correctly
		target, err := os.Readlink(next)
		if err != nil || links == mostLinks {
			done = next
			continue
		}
		links++
		rest = append(strings.Split(target, "/"), rest...)
		if filepath.IsAbs(target) {
			done = "/"
		}
	}
	return done
}

// devicesOf returns the paths of the box that a volume of the local driver mounts:
// its device, and the directories of an overlay. A relative path is relative to the
// engine's directory, which is normally /. In an overlay's option a backslash escapes
// the next character. A text that is no path leads nowhere.
func devicesOf(v Volume) []string {
	if v.Driver != "" && v.Driver != "local" {
		return nil
	}
	var paths []string
	add := func(path string) {
		if path = strings.ReplaceAll(path, `\`, ""); path != "" {
			paths = append(paths, "/"+strings.TrimPrefix(path, "/"))
		}
	}
	add(v.Options["device"])
	for option := range strings.SplitSeq(v.Options["o"], ",") {
		_, value, _ := strings.Cut(option, "=")
		for path := range strings.SplitSeq(value, ":") {
			add(path)
		}
	}
	return paths
}
