package sftpd

import (
	"encoding/binary"
	"errors"
	"io"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// handle is a file or a directory that the client has open.
type handle struct {
	file    *os.File
	isDir   bool
	appends bool // whatever the client says of the place
	begun   bool // a directory: some of it has been told
}

func (h *handle) fd() int { return int(h.file.Fd()) }

var errNoHandle = errors.New("no such handle")

// keep keeps what was opened, and answers with its handle.
func (s *server) keep(h *handle) packet {
	s.last++
	name := string(binary.BigEndian.AppendUint32(nil, s.last))
	s.handles[name] = h
	return packet{kind: typeHandle, body: ssh.Marshal(struct{ Handle string }{name})}
}

func (s *server) closeAll() {
	for _, h := range s.handles {
		h.file.Close()
	}
}

// file is the file that a handle stands for.
func (s *server) file(name string) (*handle, error) {
	if h := s.handles[name]; h != nil && !h.isDir {
		return h, nil
	}
	return nil, errNoHandle
}

func (s *server) openFile(body []byte) (packet, error) {
	var m struct {
		Path  string
		Flags uint32
		Attrs []byte `ssh:"rest"`
	}
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	a, err := parseAttrs(m.Attrs)
	if err != nil {
		return packet{}, err
	}
	flags, mode := openFlags(m.Flags), uint32(0o666)
	if a.has(hasMode) {
		mode = a.mode & 0o7777
	}
	if s.readOnly && flags&(unix.O_ACCMODE|unix.O_CREAT|unix.O_TRUNC) != unix.O_RDONLY {
		return packet{}, unix.EACCES
	}
	fd, err := s.tree.open(m.Path, flags|unix.O_NOCTTY, mode)
	if err != nil {
		return packet{}, err
	}
	return s.keep(&handle{file: os.NewFile(uintptr(fd), m.Path), appends: flags&unix.O_APPEND != 0}), nil
}

// openFlags are the kernel's for those of the protocol.
func openFlags(asked uint32) int {
	const read, write, appends, create, truncate, exclusive = 1, 2, 4, 8, 16, 32
	flags := unix.O_RDONLY
	switch {
	case asked&(read|write) == read|write:
		flags = unix.O_RDWR
	case asked&write != 0:
		flags = unix.O_WRONLY
	}
	for flag, bit := range map[uint32]int{appends: unix.O_APPEND, create: unix.O_CREAT, truncate: unix.O_TRUNC, exclusive: unix.O_EXCL} {
		if asked&flag != 0 {
			flags |= bit
		}
	}
	return flags
}

func (s *server) closeHandle(body []byte) (packet, error) {
	var m struct{ Handle string }
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	h := s.handles[m.Handle]
	if h == nil {
		return packet{}, unix.EBADF
	}
	delete(s.handles, m.Handle)
	return packet{}, h.file.Close()
}

func (s *server) read(body []byte) (packet, error) {
	var m struct {
		Handle string
		At     uint64
		Size   uint32
	}
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	h, err := s.file(m.Handle)
	if err != nil {
		return packet{}, err
	}
	size := int(min(m.Size, maxData))
	if s.data == nil {
		s.data = make([]byte, 4+maxData)
	}
	n, err := h.readAt(s.data[4:4+size], int64(m.At))
	if err != nil {
		return packet{}, err
	}
	binary.BigEndian.PutUint32(s.data, uint32(n))
	return packet{kind: typeData, body: s.data[:4+n]}, nil
}

// readAt reads what is there, and returns io.EOF where there is nothing. What has no
// places, as a terminal, is read on.
func (h *handle) readAt(p []byte, at int64) (n int, err error) {
	err = uninterrupted(func() (err error) {
		n, err = unix.Pread(h.fd(), p, at)
		if errors.Is(err, unix.ESPIPE) {
			n, err = unix.Read(h.fd(), p)
		}
		return err
	})
	if err == nil && n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, err
}

func (s *server) write(body []byte) (packet, error) {
	var m struct {
		Handle string
		At     uint64
		Data   []byte
	}
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	h, err := s.file(m.Handle)
	if err != nil {
		return packet{}, err
	}
	return packet{}, h.writeAt(m.Data, int64(m.At))
}

// writeAt writes all of p.
func (h *handle) writeAt(p []byte, at int64) error {
	for {
		n := 0
		err := uninterrupted(func() (err error) {
			if h.appends {
				n, err = unix.Write(h.fd(), p)
				return err
			}
			n, err = unix.Pwrite(h.fd(), p, at)
			if errors.Is(err, unix.ESPIPE) {
				n, err = unix.Write(h.fd(), p)
			}
			return err
		})
		if err != nil || n == len(p) {
			return err
		}
		p, at = p[n:], at+int64(n)
	}
}

func (s *server) fstat(body []byte) (packet, error) {
	var m struct{ Handle string }
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	h, err := s.file(m.Handle)
	if err != nil {
		return packet{}, err
	}
	var found unix.Stat_t
	err = uninterrupted(func() error { return unix.Fstat(h.fd(), &found) })
	return attrsOf(&found), err
}

func (s *server) fsetstat(body []byte) (packet, error) {
	var m struct {
		Handle string
		Attrs  []byte `ssh:"rest"`
	}
	if err := read(body, &m); err != nil {
		return packet{}, err
	}
	a, err := parseAttrs(m.Attrs)
	if err != nil {
		return packet{}, err
	}
	h, err := s.file(m.Handle)
	if err != nil {
		return packet{}, err
	}
	fd := h.fd()
	return packet{}, a.set(setters{
		size:  func(size int64) error { return unix.Ftruncate(fd, size) },
		mode:  func(mode uint32) error { return unix.Fchmod(fd, mode) },
		times: func(at []unix.Timespec) error { return unix.UtimesNanoAt(unix.AT_FDCWD, procPath(fd), at, 0) },
		owner: func(uid, gid int) error { return unix.Fchown(fd, uid, gid) },
	})
}
