package apply

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/client"

	"berth/docker"
	"berth/printable"
	"berth/provision/plan"
)

const (
	keepSpeed   = 100 << 20 // bytes a second, what an ordinary disk makes of a layer
	mostPaths   = 8         // that are shown of what goes
	shownDepth  = 3         // directories of a path that are told apart
	maxShown    = 120       // runes of a path
	plainDigits = "%.3g%s"
)

// Weigh adds notes to a plan: how much is carried over and how long that takes, and
// of containers that go with what was written in them, the largest paths.
func Weigh(ctx context.Context, api *client.Client, p *plan.Plan) error {
	for _, s := range p.Steps {
		if s.Op != plan.OpRecreate || s.Recreation.Old.State == "created" {
			continue
		}
		result, err := api.ContainerInspect(ctx, s.ID, client.ContainerInspectOptions{Size: true})
		if err != nil {
			return err
		}
		size := int64(0)
		if result.Container.SizeRw != nil {
			size = *result.Container.SizeRw
		}
		lines, err := weighOne(ctx, api, s, size)
		if err != nil {
			return err
		}
		p.Notes = append(p.Notes, lines...)
	}
	return nil
}

// weighOne returns what is said of one container, in which so much was written.
func weighOne(ctx context.Context, api *client.Client, s plan.Step, size int64) ([]string, error) {
	name := s.Recreation.Old.Name
	takes := time.Duration(size/keepSpeed+1) * time.Second
	filled := func(path string) bool { return isInAny(path, s.Recreation.Fills) }
	switch {
	case s.Recreation.Keep:
		return []string{fmt.Sprintf("%s: %s carried over, about %s", name, bytesText(size), takes)}, nil
	case s.Recreation.Copy:
		copied, err := largest(ctx, api, s.ID, func(path string) bool { return filled(path) || !isSystems(path) })
		if err != nil {
			return nil, err
		}
		gone, err := largest(ctx, api, s.ID, func(path string) bool { return isSystems(path) && !filled(path) })
		lines := append([]string{fmt.Sprintf("%s: of %s written in it these are copied, in about %s:", name, bytesText(size), takes)}, copied...)
		if len(gone) > 0 {
			lines = append(append(lines, name+": these are the system's, which the new image brings, and go:"), gone...)
		}
		return lines, err
	}
	gone, err := largest(ctx, api, s.ID, func(path string) bool { return !filled(path) })
	return append([]string{fmt.Sprintf("%s: %s written in it go:", name, bytesText(size))}, gone...), err
}

func bytesText(n int64) string {
	return units.CustomSize(plainDigits, float64(n), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB"})
}

// largest returns a line for each of the largest of those paths that were written in a
// container. Sizes are known where its files are this box's.
func largest(ctx context.Context, api *client.Client, id string, counts func(path string) bool) ([]string, error) {
	diff, err := api.ContainerDiff(ctx, id, client.ContainerDiffOptions{})
	if err != nil {
		return nil, err
	}
	dir, err := writtenIn(ctx, api, id)
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	for _, change := range diff.Changes {
		if !counts(change.Path) {
			continue
		}
		if info := lstat(dir, change.Path); dir == "" || info != nil && info.Mode().IsRegular() && info.Size() > 0 {
			sizes[shortPath(change.Path)] += sizeOf(info)
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
		if dir != "" {
			text = bytesText(sizes[p]) + " " + text
		}
		lines = append(lines, text)
	}
	return lines, nil
}

// writtenIn returns the directory of this box that has what was written in a
// container; "" where there is none.
func writtenIn(ctx context.Context, api *client.Client, id string) (string, error) {
	result, err := api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return "", err
	}
	if driver := result.Container.GraphDriver; driver != nil && docker.IsLocal(api) {
		return driver.Data["UpperDir"], nil
	}
	return "", nil
}

// lstat never follows a link: those in a container are the container's.
func lstat(dir, name string) fs.FileInfo {
	if dir == "" {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer root.Close()
	info, err := root.Lstat(strings.TrimPrefix(filepath.Clean(name), "/"))
	if err != nil {
		return nil
	}
	return info
}

func sizeOf(info fs.FileInfo) int64 {
	if info == nil {
		return 0
	}
	return info.Size()
}

// shortPath returns the directory that a path is shown as.
func shortPath(name string) string {
	parts := strings.Split(strings.TrimPrefix(path.Clean(name), "/"), "/")
	return "/" + strings.Join(parts[:min(len(parts), shownDepth)], "/")
}
