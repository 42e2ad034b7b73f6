package sftpd

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/user"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// extension is a request that the draft does not know.
type extension struct {
	name, version string
	request
}

// extensions are those of OpenSSH's server, in its order.
func extensions() []extension {
	return []extension{
		{"posix-rename@openssh.com", "1", request{(*server).posixRename, true}},
		{"statvfs@openssh.com", "2", request{(*server).statvfs, false}},
		{"fstatvfs@openssh.com", "2", request{(*server).fstatvfs, false}},
		{"hardlink@openssh.com", "1", request{(*server).hardlink, true}},
		{"fsync@openssh.com", "1", request{(*server).fsync, true}},
		{"lsetstat@openssh.com", "1", request{(*server).lsetstat, true}},
		{"limits@openssh.com", "1", request{(*server).limits, false}},
		{"expand-path@openssh.com", "1", request{(*server).expandPath, false}},
		{"copy-data", "1", request{(*server).copyData, true}},
		{"home-directory", "1", request{(*server).homeDirectory, false}},
		{"users-groups-by-id@openssh.com", "1", request{(*server).namesByID, false}},
	}
}

// extended answers a request that is an extension.
func (s *server) extended(body []byte) (packet, error) {
	var m struct {
		Name string
		Body []byte `ssh:"rest"`
	}
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	for _, e := range extensions() {
		switch {
		case e.name != m.Name:
		case e.changes && s.readOnly:
			return packet{}, unix.EACCES
		default:
			return e.answer(s, m.Body)
		}
	}
	return packet{}, unix.ENOSYS
}

func (s *server) posixRename(body []byte) (packet, error) { return s.byEntries(body, unix.Rename) }
func (s *server) hardlink(body []byte) (packet, error)    { return s.byEntries(body, unix.Link) }

func (s *server) fsync(body []byte) (packet, error) {
	var m struct{ Handle string }
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	h, err := s.file(m.Handle)
	if err != nil {
		return packet{}, unix.EBADF
	}
	return packet{}, uninterrupted(func() error { return unix.Fsync(h.fd()) })
}

func (s *server) statvfs(body []byte) (packet, error) {
	var found unix.Statfs_t
	_, err := s.byTarget(body, func(path string) error { return unix.Statfs(path, &found) })
	return fileSystem(&found), err
}

func (s *server) fstatvfs(body []byte) (packet, error) {
	var m struct{ Handle string }
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	h, err := s.file(m.Handle)
	if err != nil {
		return packet{}, err
	}
	var found unix.Statfs_t
	err = uninterrupted(func() error { return unix.Fstatfs(h.fd(), &found) })
	return fileSystem(&found), err
}

// fileSystem is the answer that tells of a file system, as statvfs(3) does.
func fileSystem(f *unix.Statfs_t) packet {
	fsid := uint64(uint32(f.Fsid.Val[1]))<<32 | uint64(uint32(f.Fsid.Val[0]))
	const readOnly, noSUID = 1, 2 // the protocol's
	var flags uint64
	if f.Flags&unix.ST_RDONLY != 0 {
		flags |= readOnly
	}
	if f.Flags&unix.ST_NOSUID != 0 {
		flags |= noSUID
	}
	return packet{kind: typeExtendedReply, body: numbers(uint64(f.Bsize), uint64(f.Frsize), f.Blocks, f.Bfree, f.Bavail,
		f.Files, f.Ffree, f.Ffree, fsid, flags, uint64(f.Namelen))}
}

// lsetstat sets attributes of a link itself.
func (s *server) lsetstat(body []byte) (packet, error) {
	var m onAttrs
	a, err := m.parse(body)
	if err != nil {
		return packet{}, err
	}
	if a.has(hasSize) {
		return packet{}, errMalformed
	}
	return packet{}, s.tree.atEntry(m.Path, func(path string) error {
		return a.set(setters{
			mode: func(mode uint32) error { return lchmod(path, mode) },
			times: func(at []unix.Timespec) error {
				return unix.UtimesNanoAt(unix.AT_FDCWD, path, at, unix.AT_SYMLINK_NOFOLLOW)
			},
			owner: func(uid, gid int) error { return unix.Lchown(path, uid, gid) },
		})
	})
}

// limits says the largest packet, read and write, and how many handles there may
// be: as many as descriptors, but for a few.
func (s *server) limits([]byte) (packet, error) {
	const ours = 5
	handles, limit := uint64(0), unix.Rlimit{}
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && limit.Cur > ours {
		handles = limit.Cur - ours
	}
	return packet{kind: typeExtendedReply, body: numbers(maxPacket, maxData, maxData, handles)}, nil
}

var (
	errSameFile = errors.New("a file is not copied into itself")
	errNoUser   = errors.New("no such user")
)

// copyData copies from one open file to another, all of it where the length is 0.
func (s *server) copyData(body []byte) (packet, error) {
	var m struct {
		From         string
		FromAt, Size uint64
		To           string
		ToAt         uint64
	}
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	from, err := s.file(m.From)
	if err != nil {
		return packet{}, err
	}
	to, err := s.file(m.To)
	if err != nil {
		return packet{}, err
	}
	if areSame(from.file, to.file) {
		return packet{}, errSameFile
	}
	if m.FromAt > 1<<62 || m.ToAt > 1<<62 || m.Size > 1<<62 {
		return packet{}, unix.EINVAL
	}
	return packet{}, copyRange(from, int64(m.FromAt), to, int64(m.ToAt), int64(m.Size))
}

func areSame(a, b *os.File) bool {
	one, err := a.Stat()
	other, err2 := b.Stat()
	return err == nil && err2 == nil && os.SameFile(one, other)
}

// copyRange copies size bytes, or what there is, or all where size is 0.
func copyRange(from *handle, fromAt int64, to *handle, toAt, size int64) error {
	buf := make([]byte, 64<<10)
	for done := int64(0); size == 0 || done < size; {
		part := buf
		if size > 0 {
			part = buf[:min(int64(len(buf)), size-done)]
		}
		n, err := from.readAt(part, fromAt+done)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := to.writeAt(part[:n], toAt+done); err != nil {
			return err
		}
		done += int64(n)
	}
	return nil
}

// expandPath makes a path absolute. A ~ at its beginning stands for a home; that of the
// server's own account is its directory, where every session begins.
func (s *server) expandPath(body []byte) (packet, error) {
	var m onPath
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	path := m.Path
	if rest, found := strings.CutPrefix(path, "~"); found {
		name, below, _ := strings.Cut(rest, "/")
		home, err := s.homeOf(name)
		if err != nil {
			return packet{}, errNoUser
		}
		path = home + "/" + below
	}
	real, err := s.tree.realPath(path)
	return name(real), err
}

// homeDirectory tells a user's home directory; "" is who we are.
func (s *server) homeDirectory(body []byte) (packet, error) {
	var m struct{ User string }
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	if m.User == "" && s.tree.root == nil {
		home, err := os.UserHomeDir()
		return name(home), err
	}
	home, err := s.homeOf(m.User)
	return name(home), err
}

// homeOf is a user's home directory, as a path that may be relative; "" is who we are.
// Below a directory that is all there is, nobody else has one.
func (s *server) homeOf(name string) (string, error) {
	switch {
	case name == "" && s.tree.root == nil:
		return ".", nil
	case name == "":
		return "/", nil
	case s.tree.root != nil:
		return "", errNoUser
	}
	account, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return account.HomeDir, nil
}

// namesByID tells the names of users and groups by their numbers, "" for one that
// is not known.
func (s *server) namesByID(body []byte) (packet, error) {
	var m struct{ Users, Groups string }
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	users, err := namesOf(m.Users, s.names.user)
	if err != nil {
		return packet{}, err
	}
	groups, err := namesOf(m.Groups, s.names.group)
	if err != nil {
		return packet{}, err
	}
	return packet{kind: typeExtendedReply, body: ssh.Marshal(struct{ Users, Groups string }{users, groups})}, nil
}

func namesOf(ids string, name func(id uint32) string) (string, error) {
	if len(ids)%4 != 0 {
		return "", errMalformed
	}
	var all []byte
	for ; len(ids) > 0; ids = ids[4:] {
		all = append(all, ssh.Marshal(struct{ Name string }{name(binary.BigEndian.Uint32([]byte(ids)))})...)
	}
	return string(all), nil
}
