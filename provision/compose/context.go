package compose

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Dockerfile is the Dockerfile of a build. It is added to the context separately: it
// may come from the compose file, from outside the directory, or be excluded by
// .dockerignore.
type Dockerfile struct {
	Name string // in the context
	Text []byte
}

// DockerfileOf reads the Dockerfile of a build section. A link that leads out of its
// directory is refused, since lines of the file may be shown. The error names the
// file.
func DockerfileOf(b *types.BuildConfig) (Dockerfile, error) {
	const elsewhere = ".berth.Dockerfile"
	if b.DockerfileInline != "" {
		return Dockerfile{elsewhere, []byte(b.DockerfileInline)}, nil
	}
	path := cmp.Or(b.Dockerfile, "Dockerfile")
	if !filepath.IsAbs(path) {
		path = filepath.Join(b.Context, path)
	}
	name, root := elsewhere, filepath.Dir(path)
	if within, err := filepath.Rel(b.Context, path); err == nil && filepath.IsLocal(within) {
		name, root = within, b.Context
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Dockerfile{}, fmt.Errorf("there is no %s to build from", ShortPath(path))
	}
	if within, outside := filepath.Rel(resolve(root), resolve(path)); outside != nil || !filepath.IsLocal(within) {
		return Dockerfile{}, fmt.Errorf("%s is a link that leads out of %s; name the file itself", ShortPath(path), ShortPath(root))
	}
	if err == nil && !info.Mode().IsRegular() {
		return Dockerfile{}, fmt.Errorf("%s is no file to build from", ShortPath(path))
	}
	text, err := os.ReadFile(path)
	return Dockerfile{filepath.ToSlash(name), text}, err
}

// writeContext writes a directory, without what .dockerignore excludes, as a tar. The
// bytes depend only on the files' content: they have no times and no owners, on which
// no build depends.
func writeContext(out io.Writer, dir string, df Dockerfile) error {
	ignored, err := dockerignore(dir)
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == "." {
			return err
		}
		skip, err := ignored.MatchesOrParentMatches(name)
		switch {
		case err != nil:
			return err
		case skip && entry.IsDir() && !ignored.Exclusions():
			return fs.SkipDir
		case skip || filepath.ToSlash(name) == df.Name || entry.Type()&(fs.ModeSocket|fs.ModeNamedPipe|fs.ModeDevice) != 0:
			return nil
		}
		return addFile(w, path, name, entry)
	})
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: df.Name, Mode: 0o644, Size: int64(len(df.Text))}); err != nil {
		return err
	}
	if _, err := w.Write(df.Text); err != nil {
		return err
	}
	return w.Close()
}

func dockerignore(dir string) (*patternmatcher.PatternMatcher, error) {
	file, err := os.Open(filepath.Join(dir, ".dockerignore"))
	if errors.Is(err, fs.ErrNotExist) {
		return patternmatcher.New(nil)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ShortPath(file.Name()), err)
	}
	return patternmatcher.New(patterns)
}

func addFile(w *tar.Writer, path, name string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	// Only these fields: times and owner are not part of the content.
	header = &tar.Header{
		Typeflag: header.Typeflag, Name: filepath.ToSlash(name), Linkname: link, Mode: header.Mode, Size: header.Size,
	}
	if err := w.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	n, err := io.Copy(w, io.LimitReader(file, header.Size)) // a file that grows meanwhile is cut, as tar does
	if err == nil && n < header.Size {
		err = fmt.Errorf("%s became shorter while it was read; name it in .dockerignore if the build does not need it", ShortPath(path))
	}
	return err
}

// mountedInContext returns the directories of the build context that services of the
// project can write to: writing there changes the image.
func (p *Project) mountedInContext(context string) ([]string, error) {
	ignored, err := dockerignore(context)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, name := range p.ServiceNames() {
		for _, v := range p.Services[name].Volumes {
			within, err := filepath.Rel(context, v.Source)
			if v.Type != types.VolumeTypeBind || v.ReadOnly || err != nil || within == "." || !filepath.IsLocal(within) {
				continue
			}
			if info, err := os.Stat(v.Source); err == nil && !info.IsDir() {
				continue
			}
			if skip, err := ignored.MatchesOrParentMatches(within); err == nil && !skip {
				found = append(found, within)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}
