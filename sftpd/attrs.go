package sftpd

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Flags that say which attributes there are.
const (
	hasSize  = 1
	hasOwner = 2
	hasMode  = 4
	hasTimes = 8
)

// attrs are those that a client wants a file to have.
type attrs struct {
	flags            uint32
	size             uint64
	uid, gid         uint32
	mode             uint32
	accessed, change uint32 // seconds since 1970
}

func (a attrs) has(flag uint32) bool { return a.flags&flag != 0 }

// parseAttrs reads attributes, and passes over those that are extensions: there are
// none.
func parseAttrs(body []byte) (a attrs, err error) {
	ok := true
	next := func() (number uint32) {
		if len(body) < 4 {
			ok = false
			return 0
		}
		number, body = binary.BigEndian.Uint32(body), body[4:]
		return number
	}
	a.flags = next()
	if a.has(hasSize) {
		high := next()
		a.size = uint64(high)<<32 | uint64(next())
	}
	if a.has(hasOwner) {
		a.uid, a.gid = next(), next()
	}
	if a.has(hasMode) {
		a.mode = next()
	}
	if a.has(hasTimes) {
		a.accessed, a.change = next(), next()
	}
	if !ok {
		return a, errMalformed
	}
	return a, nil
}

// setters set one attribute each.
type setters struct {
	size  func(size int64) error
	mode  func(mode uint32) error
	times func(accessedAndChanged []unix.Timespec) error
	owner func(uid, gid int) error
}

// set sets all that can be, and returns what the last failure was.
func (a attrs) set(by setters) (failed error) {
	try := func(flag uint32, set func() error) {
		if !a.has(flag) {
			return
		}
		if err := uninterrupted(set); err != nil {
			failed = err
		}
	}
	try(hasSize, func() error {
		if a.size > 1<<62 {
			return unix.EINVAL
		}
		return by.size(int64(a.size))
	})
	try(hasMode, func() error { return by.mode(a.mode & 0o7777) })
	try(hasTimes, func() error {
		return by.times([]unix.Timespec{{Sec: int64(a.accessed)}, {Sec: int64(a.change)}})
	})
	try(hasOwner, func() error { return by.owner(int(a.uid), int(a.gid)) })
	return failed
}

// attrsOf is the answer that is the attributes of a file.
func attrsOf(found *unix.Stat_t) packet {
	return packet{kind: typeAttrs, body: appendAttrs(nil, found)}
}

func appendAttrs(body []byte, found *unix.Stat_t) []byte {
	body = binary.BigEndian.AppendUint32(body, hasSize|hasOwner|hasMode|hasTimes)
	body = binary.BigEndian.AppendUint64(body, uint64(found.Size))
	for _, number := range []uint32{found.Uid, found.Gid, found.Mode, uint32(found.Atim.Sec), uint32(found.Mtim.Sec)} {
		body = binary.BigEndian.AppendUint32(body, number)
	}
	return body
}

// procPath is a path to an open file, whatever has become of its name.
func procPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// lchmod sets the mode of a file that is no link: Linux has none for links.
func lchmod(path string, mode uint32) error {
	err := unix.Fchmodat(unix.AT_FDCWD, path, mode, unix.AT_SYMLINK_NOFOLLOW)
	if !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0) // before Linux 6.6
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var found unix.Stat_t
	if err := unix.Fstat(fd, &found); err != nil {
		return err
	}
	if found.Mode&unix.S_IFMT == unix.S_IFLNK {
		return unix.EOPNOTSUPP
	}
	return unix.Chmod(procPath(fd), mode)
}
