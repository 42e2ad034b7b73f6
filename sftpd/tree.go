package sftpd

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// tree is the files that a client sees: all of them, or those below a directory, which
// is its /. In a tree with a root, no path leads out of it, whatever links, dots and
// renames do meanwhile: the kernel sees to it (openat2(2), RESOLVE_IN_ROOT). What it
// has found is then named by its descriptor, so that nothing is looked up twice.
type tree struct {
	root *os.File // nil: all files
}

// newTree returns the files below a directory; all of them where that is "".
func newTree(directory string) (tree, error) {
	if directory == "" {
		return tree{}, nil
	}
	fd, err := unix.Open(directory, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return tree{}, fmt.Errorf("directory %s, which sftp is granted in: %w", directory, err)
	}
	t := tree{os.NewFile(uintptr(fd), directory)}
	probe, err := t.open("/", unix.O_PATH, 0)
	if err != nil {
		t.close()
		return tree{}, fmt.Errorf("sftp in a directory needs Linux 5.6, and leave for openat2 and /proc in the container: %w", err)
	}
	unix.Close(probe)
	return t, nil
}

func (t tree) close() {
	if t.root != nil {
		t.root.Close()
	}
}

// open opens what a path leads to.
func (t tree) open(path string, flags int, mode uint32) (fd int, err error) {
	flags |= unix.O_CLOEXEC
	if t.root == nil {
		err = uninterrupted(func() (err error) {
			fd, err = unix.Open(path, flags, mode)
			return err
		})
		return fd, err
	}
	if path == "" {
		return -1, unix.ENOENT
	}
	how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	if flags&unix.O_CREAT != 0 {
		how.Mode = uint64(mode)
	}
	for range 100 { // EAGAIN: something was renamed while the path was followed
		fd, err = unix.Openat2(int(t.root.Fd()), path, &how)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return fd, err
}

// atTarget calls f with a path to what a path leads to.
func (t tree) atTarget(path string, f func(path string) error) error {
	if t.root == nil {
		return f(path)
	}
	fd, err := t.open(path, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return f(procPath(fd))
}

// atEntry calls f with a path to what stands at a path, be it a link or nothing. Of the
// path that f gets, only the last part is a name: f must not follow it.
func (t tree) atEntry(path string, f func(path string) error) error {
	if t.root == nil {
		return f(path)
	}
	dir, name := splitEntry(path)
	fd, err := t.open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return f(procPath(fd) + "/" + name)
}

// splitEntry splits a path into a directory and a name in it. The name is never one that
// leads elsewhere.
func splitEntry(path string) (dir, name string) {
	if path == "" {
		return "", "."
	}
	trimmed := strings.TrimRight(path, "/")
	at := strings.LastIndexByte(trimmed, '/') + 1
	switch dir, name = trimmed[:at], trimmed[at:]; name {
	case "", ".", "..":
		return path, "."
	}
	if dir == "" {
		dir = "."
	}
	return dir, name
}

// maxLinks is how many links to nothing lead on to each other at most, as in the kernel.
const maxLinks = 40

// realPath is an absolute path without links, whose last part need not be there.
func (t tree) realPath(path string) (string, error) {
	if t.root == nil {
		return realPath(path)
	}
	path = cmp.Or(path, ".")
	for range maxLinks {
		fd, err := t.open(path, unix.O_PATH, 0)
		if err == nil {
			defer unix.Close(fd)
			return t.pathOf(fd)
		}
		if !errors.Is(err, unix.ENOENT) || strings.HasSuffix(path, "/") {
			return "", err
		}
		real, target, err := t.missing(path)
		if err != nil || target == "" {
			return real, err
		}
		path = target
	}
	return "", unix.ELOOP
}

// missing returns the absolute path of what is not there, and where it leads if it is a
// link.
func (t tree) missing(path string) (real, target string, err error) {
	dir, name := splitEntry(path)
	fd, err := t.open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil || name == "." {
		return "", "", unix.ENOENT
	}
	defer unix.Close(fd)
	if real, err = t.pathOf(fd); err != nil {
		return "", "", err
	}
	real = strings.TrimSuffix(real, "/") + "/"
	if target, _ = os.Readlink(procPath(fd) + "/" + name); target != "" && target[0] != '/' {
		target = real + target
	}
	return real + name, target, nil
}

// pathOf is the path of what is open, as the client sees it.
func (t tree) pathOf(fd int) (string, error) {
	root, err := os.Readlink(procPath(int(t.root.Fd())))
	if err != nil {
		return "", err
	}
	path, err := os.Readlink(procPath(fd))
	if err != nil {
		return "", err
	}
	below, isBelow := strings.CutPrefix(path, strings.TrimSuffix(root, "/"))
	if !isBelow || below != "" && below[0] != '/' {
		return "", unix.ENOENT // it was moved away meanwhile
	}
	return "/" + strings.TrimPrefix(below, "/"), nil
}
