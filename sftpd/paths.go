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

// byTarget carries out a request on what a path leads to, whose answer is a status.
func (s *server) byTarget(body []byte, do func(path string) error) (packet, error) {
	return byPath(body, s.tree.atTarget, do)
}

// byEntry carries out a request on what stands at a path, a link for one, whose answer
// is a status.
func (s *server) byEntry(body []byte, do func(path string) error) (packet, error) {
	return byPath(body, s.tree.atEntry, do)
}

func byPath(body []byte, at func(path string, f func(string) error) error, do func(path string) error) (packet, error) {
	var m onPath
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	return packet{}, at(m.Path, func(path string) error {
		return uninterrupted(func() error { return do(path) })
	})
}

// byEntries carries out a request on what stands at two paths, whose answer is a status.
func (s *server) byEntries(body []byte, do func(from, to string) error) (packet, error) {
	var m onPaths
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	return packet{}, s.tree.atEntry(m.From, func(from string) error {
		return s.tree.atEntry(m.To, func(to string) error {
			return uninterrupted(func() error { return do(from, to) })
		})
	})
}

func (s *server) stat(body []byte) (packet, error) {
	var found unix.Stat_t
	_, err := s.byTarget(body, func(path string) error { return unix.Stat(path, &found) })
	return attrsOf(&found), err
}

func (s *server) lstat(body []byte) (packet, error) {
	var found unix.Stat_t
	_, err := s.byEntry(body, func(path string) error { return unix.Lstat(path, &found) })
	return attrsOf(&found), err
}

func (s *server) remove(body []byte) (packet, error) { return s.byEntry(body, unix.Unlink) }
func (s *server) rmdir(body []byte) (packet, error)  { return s.byEntry(body, unix.Rmdir) }

// symlink has the link's target first, as OpenSSH's server has, and not as the draft.
// The target is a text, and leads where it leads when somebody follows it.
func (s *server) symlink(body []byte) (packet, error) {
	var m struct{ Target, Path string }
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	return packet{}, s.tree.atEntry(m.Path, func(path string) error {
		return uninterrupted(func() error { return unix.Symlink(m.Target, path) })
	})
}

// rename replaces nothing: posix-rename@openssh.com does.
func (s *server) rename(body []byte) (packet, error) { return s.byEntries(body, renameToNew) }

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
	return packet{}, s.tree.atEntry(m.Path, func(path string) error {
		return uninterrupted(func() error { return unix.Mkdir(path, mode) })
	})
}

func (s *server) setstat(body []byte) (packet, error) {
	var m onAttrs
	a, err := m.parse(body)
	if err != nil {
		return packet{}, err
	}
	return packet{}, s.tree.atTarget(m.Path, func(path string) error {
		return a.set(setters{
			size:  func(size int64) error { return unix.Truncate(path, size) },
			mode:  func(mode uint32) error { return unix.Chmod(path, mode) },
			times: func(at []unix.Timespec) error { return unix.UtimesNanoAt(unix.AT_FDCWD, path, at, 0) },
			owner: func(uid, gid int) error { return unix.Chown(path, uid, gid) },
		})
	})
}

func (s *server) readlink(body []byte) (packet, error) {
	var m onPath
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	target := ""
	err := s.tree.atEntry(m.Path, func(path string) (err error) {
		target, err = os.Readlink(path)
		return err
	})
	return name(target), err
}

func (s *server) realpath(body []byte) (packet, error) {
	var m onPath
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	real, err := s.tree.realPath(m.Path)
	return name(real), err
}

// realPath is [tree.realPath] of all files.
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
	if number, ok := errors.AsType[unix.Errno](err); ok {
		return number
	}
	return unix.ELOOP
}
