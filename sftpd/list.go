package sftpd

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// maxListed is how many names one answer has.
const maxListed = 100

func (s *server) opendir(body []byte) (packet, error) {
	var m onPath
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	fd, err := s.tree.open(m.Path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return packet{}, err
	}
	return s.keep(&handle{file: os.NewFile(uintptr(fd), m.Path), isDir: true}), nil
}

// readdir tells some more names of a directory, and io.EOF when all were told.
func (s *server) readdir(body []byte) (packet, error) {
	var m struct{ Handle string }
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	h := s.handles[m.Handle]
	if h == nil || !h.isDir {
		return packet{}, errNoHandle
	}
	for {
		names, err := h.next()
		if err != nil {
			return packet{}, err
		}
		if listed, n := s.list(h, names); n > 0 { // or all are gone since
			return packet{kind: typeName, body: append(binary.BigEndian.AppendUint32(nil, uint32(n)), listed...)}, nil
		}
	}
}

// next is some more names of a directory.
func (h *handle) next() ([]string, error) {
	var names []string
	if !h.begun {
		h.begun = true
		names = []string{".", ".."} // which Go leaves out
	}
	more, err := h.file.Readdirnames(maxListed - len(names))
	if err != nil && (err != io.EOF || len(names) == 0) {
		return nil, err
	}
	return append(names, more...), nil
}

// list is what an answer says of names in a directory, and of how many.
func (s *server) list(dir *handle, names []string) (listed []byte, n int) {
	for _, name := range names {
		var found unix.Stat_t
		if unix.Fstatat(dir.fd(), name, &found, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		n++
		listed = append(listed, ssh.Marshal(struct{ Name, Long string }{name, s.names.line(name, &found, time.Now())})...)
		listed = appendAttrs(listed, &found)
	}
	return listed, n
}

// names are the names of users and groups, each looked up once.
type names struct{ users, groups map[uint32]string }

func newNames() *names { return &names{map[uint32]string{}, map[uint32]string{}} }

// user is the name of a user, "" where there is none.
func (n *names) user(id uint32) string {
	return lookup(n.users, id, func(text string) (string, error) {
		found, err := user.LookupId(text)
		if err != nil {
			return "", err
		}
		return found.Username, nil
	})
}

// group is the name of a group, "" where there is none.
func (n *names) group(id uint32) string {
	return lookup(n.groups, id, func(text string) (string, error) {
		found, err := user.LookupGroupId(text)
		if err != nil {
			return "", err
		}
		return found.Name, nil
	})
}

func lookup(known map[uint32]string, id uint32, find func(text string) (string, error)) string {
	name, isKnown := known[id]
	if !isKnown {
		name, _ = find(strconv.FormatUint(uint64(id), 10))
		known[id] = name
	}
	return name
}

// line is what ls -l says of a file.
func (n *names) line(name string, found *unix.Stat_t, now time.Time) string {
	orNumber := func(name string, id uint32) string {
		if name == "" {
			return strconv.FormatUint(uint64(id), 10)
		}
		return name
	}
	changed := time.Unix(found.Mtim.Sec, 0)
	when := changed.Format("Jan _2  2006")
	const halfAYear = 365 * 24 * time.Hour / 2
	if changed.After(now.Add(-halfAYear)) && !changed.After(now) {
		when = changed.Format("Jan _2 15:04")
	}
	return fmt.Sprintf("%s  %3d %-8s %-8s %8d %s %s", modeText(found.Mode), found.Nlink,
		orNumber(n.user(found.Uid), found.Uid), orNumber(n.group(found.Gid), found.Gid), found.Size, when, name)
}

// modeText is a mode as strmode(3) writes it.
func modeText(mode uint32) string {
	kinds := map[uint32]byte{
		unix.S_IFDIR: 'd', unix.S_IFCHR: 'c', unix.S_IFBLK: 'b', unix.S_IFREG: '-', unix.S_IFLNK: 'l', unix.S_IFSOCK: 's', unix.S_IFIFO: 'p',
	}
	text := []byte("?rwxrwxrwx")
	if kind, isKnown := kinds[mode&unix.S_IFMT]; isKnown {
		text[0] = kind
	}
	for i := range 9 {
		if mode&(1<<(8-i)) == 0 {
			text[1+i] = '-'
		}
	}
	for at, special := range map[int]struct {
		bit  uint32
		with string // without x, and with it
	}{3: {unix.S_ISUID, "Ss"}, 6: {unix.S_ISGID, "Ss"}, 9: {unix.S_ISVTX, "Tt"}} {
		if mode&special.bit == 0 {
			continue
		}
		if text[at] == 'x' {
			text[at] = special.with[1]
		} else {
			text[at] = special.with[0]
		}
	}
	return string(text)
}
