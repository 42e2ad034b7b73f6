package sftpd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// onPath and onPaths are the fields of requests that have paths alone.
type (
	onPath  struct{ Path string }
	onPaths struct{ From, To string }
)

// byPath carries out a request on a path, whose answer is a status.
func byPath(body []byte, do func(path string) error) (packet, error) {
	var m onPath
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	return packet{}, uninterrupted(func() error { return do(m.Path) })
}

// byPaths carries out a request on two paths, whose answer is a status.
func byPaths(body []byte, do func(from, to string) error) (packet, error) {
	var m onPaths
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	return packet{}, uninterrupted(func() error { return do(m.From, m.To) })
}

func (s *server) stat(body []byte) (packet, error)  { return statBy(body, unix.Stat) }
func (s *server) lstat(body []byte) (packet, error) { return statBy(body, unix.Lstat) }

func statBy(body []byte, stat func(string, *unix.Stat_t) error) (packet, error) {
	var found unix.Stat_t
	_, err := byPath(body, func(path string) error { return stat(path, &found) })
	return attrsOf(&found), err
}

func (s *server) remove(body []byte) (packet, error) { return byPath(body, unix.Unlink) }
func (s *server) rmdir(body []byte) (packet, error)  { return byPath(body, unix.Rmdir) }

// symlink has the link's target first, as OpenSSH's server has, and not as the draft.
func (s *server) symlink(body []byte) (packet, error) { return byPaths(body, unix.Symlink) }

// rename replaces nothing: posix-rename@openssh.com does.
func (s *server) rename(body []byte) (packet, error) { return byPaths(body, renameToNew) }

func renameToNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	if _, err := os.Lstat(to); err == nil { // a file system that cannot do both at once
		return unix.EEXIST
	}
	return unix.Rename(from, to)
}

// onAttrs are the fields of a request on a path that brings attributes.
type onAttrs struct {
	Path  string
	Attrs []byte `ssh:"rest"`
}

func (m *onAttrs) parse(body []byte) (attrs, error) {
	if err := read(body, m); err != nil {
		return attrs{}, err
	}
	return parseAttrs(m.Attrs)
}

func (s *server) mkdir(body []byte) (packet, error) {
	var m onAttrs
	a, err := m.parse(body)
	if err != nil {
		return packet{}, err
	}
	mode := uint32(0o777)
	if a.has(hasMode) {
		mode = a.mode & 0o7777
	}
	return packet{}, uninterrupted(func() error { return unix.Mkdir(m.Path, mode) })
}

func (s *server) setstat(body []byte) (packet, error) {
	var m onAttrs
	a, err := m.parse(body)
	if err != nil {
		return packet{}, err
	}
	return packet{}, a.set(setters{
		size:  func(size int64) error { return unix.Truncate(m.Path, size) },
		mode:  func(mode uint32) error { return unix.Chmod(m.Path, mode) },
		times: func(at []unix.Timespec) error { return unix.UtimesNanoAt(unix.AT_FDCWD, m.Path, at, 0) },
		owner: func(uid, gid int) error { return unix.Chown(m.Path, uid, gid) },
	})
}

func (s *server) readlink(body []byte) (packet, error) {
	var m onPath
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	target, err := os.Readlink(m.Path)
	return name(target), err
}

func (s *server) realpath(body []byte) (packet, error) {
	var m onPath
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	real, err := realPath(m.Path)
	return name(real), err
}

// realPath is an absolute path without links, whose last part need not be there.
func realPath(path string) (string, error) {
	if !strings.HasPrefix(path, "/") {
		dir, err := os.Getwd()
		if err != nil {
			return "", err
		}
		path = dir + "/" + path
	}
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		return real, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", numberOf(err)
	}
	dir, last := filepath.Split(path)
	if dir, err = filepath.EvalSymlinks(dir); err != nil || last == "" {
		return "", unix.ENOENT
	}
	whole := filepath.Join(dir, last)
	target, err := os.Readlink(whole)
	switch {
	case err != nil:
		return whole, nil
	case strings.HasPrefix(target, "/"):
		return realPath(target)
	default:
		return realPath(dir + "/" + target)
	}
}

// numberOf is the error number in an error, or ELOOP: EvalSymlinks tells of too many
// links by words.
func numberOf(err error) unix.Errno {
	var number unix.Errno
	if errors.As(err, &number) {
		return number
	}
	return unix.ELOOP
}
