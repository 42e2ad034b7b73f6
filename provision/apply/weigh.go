package apply

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/go-units"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/printable"
	"github.com/berth-ssh/berth/provision/plan"
)

const (
	keepSpeed   = 100 << 20 // bytes per second, for an ordinary disk
	mostPaths   = 8         // how many paths are shown
	shownDepth  = 3         // how many directories of a path are shown
	maxShown    = 120       // runes of a path
	plainDigits = "%.3g%s"
)

// Weigh adds notes to a plan: how much is carried over and how long that takes, and
// the largest paths in containers whose written files are removed with them.
func Weigh(ctx context.Context, api *client.Client, p *plan.Plan) error {
	for _, s := range p.Steps {
		if s.Op != plan.OpRecreate || s.Recreation.Old.State == "created" {
			continue
		}
		lines, err := weighOne(ctx, api, s)
		if err != nil {
			return err
		}
		p.Notes = append(p.Notes, lines...)
	}
	return nil
}

// weighOne returns the notes about one container.
func weighOne(ctx context.Context, api *client.Client, s plan.Step) ([]string, error) {
	name := s.Recreation.Old.Name
	w, err := weightOf(ctx, api, s.ID)
	if err != nil {
		return nil, err
	}
	takes := time.Duration(w.now/keepSpeed+1) * time.Second
	filled := func(path string) bool { return isInAny(path, s.Recreation.Fills) }
	switch {
	case s.Recreation.Keep:
		return []string{fmt.Sprintf("%s: %s carried over, about %s", name, bytesText(w.now), takes)}, nil
	case s.Recreation.Copy:
		copied, err := largest(ctx, api, w, func(path string) bool { return filled(path) || !isSystems(path) })
		if err != nil {
			return nil, err
		}
		gone, err := largest(ctx, api, w, func(path string) bool { return isSystems(path) && !filled(path) })
		lines := append([]string{fmt.Sprintf("%s: of %s written in it these are copied, in about %s:", name, bytesText(w.now), takes)}, copied...)
		if len(gone) > 0 {
			lines = append(append(lines, name+": these are the system's, which the new image brings, and go:"), gone...)
		}
		return lines, err
	}
	gone, err := largest(ctx, api, w, func(path string) bool { return !filled(path) })
	if w.before > 0 && len(w.dirs) < 2 {
		gone = append(gone, bytesText(w.before)+" that were carried over when it was recreated")
	}
	return append([]string{fmt.Sprintf("%s: %s written in it go:", name, bytesText(w.now+w.before))}, gone...), err
}

// weight is how much was written in a container.
type weight struct {
	id     string
	now    int64    // bytes written since it was created
	before int64    // bytes that were carried over into it
	dirs   []string // directories of this box with all of it, the latest first; nil if they are unknown
}

func weightOf(ctx context.Context, api *client.Client, id string) (weight, error) {
	result, err := api.ContainerInspect(ctx, id, client.ContainerInspectOptions{Size: true})
	if err != nil {
		return weight{}, err
	}
	c, w := result.Container, weight{id: id}
	if c.SizeRw != nil {
		w.now = *c.SizeRw
	}
	var lower []string // directories of its image's layers
	if driver := c.GraphDriver; driver != nil && docker.IsLocal(api) && driver.Data["UpperDir"] != "" {
		w.dirs = []string{driver.Data["UpperDir"]}
		lower = slices.DeleteFunc(strings.Split(driver.Data["LowerDir"], ":"), func(dir string) bool { return strings.HasSuffix(dir, "-init/diff") })
	}
	if !strings.HasPrefix(c.Config.Image, keptRepository+":") {
		return w, nil
	}
	kept, err := api.ImageInspect(ctx, c.Image)
	if err != nil {
		return w, err
	}
	of, err := api.ImageInspect(ctx, c.Config.Labels[labels.Image])
	if errdefs.IsNotFound(err) {
		return w, nil
	}
	w.before = max(0, kept.Size-of.Size)
	if n := len(kept.RootFS.Layers) - len(of.RootFS.Layers); len(w.dirs) > 0 && n > 0 && n <= len(lower) {
		w.dirs = append(w.dirs, lower[:n]...)
	}
	return w, err
}

func bytesText(n int64) string {
	return units.CustomSize(plainDigits, float64(n), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB"})
}

// largest returns a line for each of the largest paths that were written in a
// container. Sizes are known only if its files are on this box.
func largest(ctx context.Context, api *client.Client, w weight, counts func(path string) bool) ([]string, error) {
	sizes := map[string]int64{}
	add := func(path string, size int64) {
		if counts(path) {
			sizes[shortPath(path)] += size
		}
	}
	if len(w.dirs) > 0 {
		filesIn(w.dirs, add)
	} else {
		diff, err := api.ContainerDiff(ctx, w.id, client.ContainerDiffOptions{})
		if err != nil {
			return nil, err
		}
		for _, change := range diff.Changes {
			add(change.Path, 0)
		}
	}
	var paths []string
	for p := range sizes {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, func(one, two string) int {
		return cmp.Or(cmp.Compare(sizes[two], sizes[one]), strings.Compare(one, two))
	})
	var lines []string
	for _, p := range paths[:min(len(paths), mostPaths)] {
		text := printable.Line(p, maxShown)
		if len(w.dirs) > 0 {
			text = bytesText(sizes[p]) + " " + text
		}
		lines = append(lines, text)
	}
	return lines, nil
}

// filesIn calls add for each non-empty file in the directories. It leaves out files
// that an earlier directory contains or marks as removed. It follows no links, since
// a container made them.
func filesIn(dirs []string, add func(path string, size int64)) {
	seen := map[string]bool{}
	for i, dir := range dirs {
		root, err := os.OpenRoot(dir)
		if err != nil {
			continue
		}
		fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || seen[name] {
				return nil
			}
			if i+1 < len(dirs) {
				seen[name] = true
			}
			if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
				add("/"+name, info.Size())
			}
			return nil
		})
		root.Close()
	}
}

// shortPath returns the directory under which a path is shown.
func shortPath(name string) string {
	parts := strings.Split(strings.TrimPrefix(path.Clean(name), "/"), "/")
	return "/" + strings.Join(parts[:min(len(parts), shownDepth)], "/")
}
