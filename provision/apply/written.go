package apply

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// asideDir is where a file is put if the new image has its own one at the same path.
const asideDir = "/var/backups/berth"

// system has the directories that an image replaces as a whole; peoples has those
// within them that belong to people.
var (
	system = []string{"/bin", "/boot", "/dev", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run", "/sbin", "/sys", "/usr",
		"/var/cache", "/var/lib/apt", "/var/lib/dpkg", "/var/log", "/var/run", "/.dockerenv"}
	peoples    = []string{"/usr/local"}
	ownOfImage = []string{"/etc/apt", "/etc/ssh"} // the new image has its own files in these, under any names
)

// written lists what was written in a container outside of system directories.
type written struct {
	whole []string // new files and directories, with everything in them
	files []string // changed files that the image also has, and directories of which only mode or owner changed
}

// copyWritten copies what was written in a stopped container to one that has never
// been started. It never overwrites: a file that the new one also has is put aside
// there.
func (e *Executor) copyWritten(ctx context.Context, from, to string, except []string) error {
	diff, err := e.API.ContainerDiff(ctx, from, client.ContainerDiffOptions{})
	if err != nil {
		return err
	}
	is, err := e.API.ContainerInspect(ctx, from, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	into, err := e.API.ContainerInspect(ctx, to, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	found := writtenOf(diff.Changes, slices.Concat(except, destinations(is.Container.Mounts)))
	aside := slices.Concat(ownOfImage, destinations(into.Container.Mounts))
	files, err := e.withoutDirs(ctx, from, found.files)
	if err != nil {
		return err
	}
	for _, name := range slices.Concat(found.whole, files) {
		e.Progress.Say(name)
		if err := e.copyPath(ctx, from, to, name, aside); err != nil {
			return err
		}
	}
	return nil
}

// withoutDirs returns the paths that are not directories: of a directory in the image
// only mode or owner can have changed.
func (e *Executor) withoutDirs(ctx context.Context, id string, names []string) ([]string, error) {
	var files []string
	for _, name := range names {
		result, err := e.API.ContainerStatPath(ctx, id, client.ContainerStatPathOptions{Path: name})
		if err != nil && !errdefs.IsNotFound(err) {
			return nil, err
		}
		if err == nil && !result.Stat.Mode.IsDir() {
			files = append(files, name)
		}
	}
	return files, nil
}

func destinations(mounts []container.MountPoint) []string {
	var all []string
	for _, m := range mounts {
		all = append(all, m.Destination)
	}
	return all
}

// writtenOf selects what was written from a container's changes. It leaves out these
// directories, which are volumes or the initial content of volumes.
func writtenOf(changes []container.FilesystemChange, except []string) written {
	var found written
	inOrder := func(c container.FilesystemChange) string { return strings.ReplaceAll(c.Path, "/", "\x00") } // a directory, then what is in it
	changes = slices.SortedFunc(slices.Values(changes), func(one, two container.FilesystemChange) int {
		return strings.Compare(inOrder(one), inOrder(two))
	})
	for i, c := range changes {
		isDir := i+1 < len(changes) && isIn(changes[i+1].Path, c.Path)
		last := len(found.whole) - 1
		switch {
		case c.Kind == container.ChangeDelete, isSystems(c.Path), isInAny(c.Path, except):
		case last >= 0 && isIn(c.Path, found.whole[last]):
		case c.Kind == container.ChangeModify && !isDir:
			found.files = append(found.files, c.Path)
		case c.Kind == container.ChangeAdd && !holdsAny(c.Path, except):
			found.whole = append(found.whole, c.Path)
		}
	}
	return found
}

// isSystems reports whether a path belongs to the system.
func isSystems(name string) bool { return isInAny(name, system) && !isInAny(name, peoples) }

func isIn(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

func isInAny(name string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return isIn(name, path.Clean(dir)) })
}

func holdsAny(dir string, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return isIn(path.Clean(name), dir) })
}

// copyPath copies a file, or a directory with everything in it. If the path exists in
// the other container, or is in one of the aside directories, the copy is put aside
// there.
func (e *Executor) copyPath(ctx context.Context, from, to, name string, aside []string) error {
	files, err := e.API.CopyFromContainer(ctx, from, client.CopyFromContainerOptions{SourcePath: name})
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer files.Content.Close()
	has, err := e.hasPath(ctx, to, name)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	if has || isInAny(name, aside) {
		dir = path.Join(asideDir, dir)
	}
	missing, err := e.missingAbove(ctx, to, dir)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(below(dir, missing, tar.NewReader(files.Content), tar.NewWriter(w))) }()
	_, err = e.API.CopyToContainer(ctx, to, client.CopyToContainerOptions{DestinationPath: "/", Content: r})
	r.Close()
	return err
}

// missingAbove returns the directories from the root down to dir that a container
// does not have.
func (e *Executor) missingAbove(ctx context.Context, id, dir string) ([]string, error) {
	var missing []string
	for ; dir != "/"; dir = path.Dir(dir) {
		has, err := e.hasPath(ctx, id, dir)
		if err != nil {
			return nil, err
		}
		if has {
			break
		}
		missing = append(missing, dir)
	}
	slices.Reverse(missing)
	return missing, nil
}

func (e *Executor) hasPath(ctx context.Context, id, name string) (bool, error) {
	_, err := e.API.ContainerStatPath(ctx, id, client.ContainerStatPathOptions{Path: name})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// below writes an archive's files into a directory, after the missing directories
// above it. Files that are put aside may be read only by root: some contain
// passwords.
func below(dir string, missing []string, r *tar.Reader, w *tar.Writer) error {
	for _, parent := range missing {
		mode := int64(0o755)
		if parent == asideDir {
			mode = 0o700
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: parent[1:] + "/", Mode: mode}); err != nil {
			return err
		}
	}
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return w.Close()
		}
		if err != nil {
			return err
		}
		header.Name = path.Join(dir, header.Name)[1:]
		if header.Typeflag == tar.TypeDir {
			header.Name += "/"
		}
		if header.Typeflag == tar.TypeLink {
			header.Linkname = path.Join(dir, header.Linkname)[1:]
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(w, r); err != nil {
			return err
		}
	}
}
