package sftpd

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// extension is a request that pkg/sftp does not know. Its answer has no id yet.
type extension struct {
	name, version string
	answer        func(s *server, body []byte) (packet, error)
	changes       bool // files, so that who may only read does not have it
}

func extensions() []extension {
	return []extension{
		{"fsync@openssh.com", "1", (*server).fsync, false},
		{"fstatvfs@openssh.com", "2", (*server).fstatvfs, false},
		{"lsetstat@openssh.com", "1", (*server).lsetstat, true},
		{"limits@openssh.com", "1", (*server).limits, false},
		{"expand-path@openssh.com", "1", (*server).expandPath, false},
		{"copy-data", "1", (*server).copyData, true},
		{"home-directory", "1", (*server).homeDirectory, false},
		{"users-groups-by-id@openssh.com", "1", (*server).names, false},
	}
}

var errMalformed = errors.New("malformed request")

// extended answers a request that is an extension of ours, once those before it
// have been carried out. For any other it returns nil.
func (s *server) extended(p packet) *packet {
	var request struct {
		Name string
		Body []byte `ssh:"rest"`
	}
	if p.kind != typeExtended || ssh.Unmarshal(p.body, &request) != nil {
		return nil
	}
	for _, e := range extensions() {
		if e.name != request.Name {
			continue
		}
		if e.changes && s.readOnly {
			answer := status(fs.ErrPermission)
			answer.id = p.id
			return &answer
		}
		s.running.Wait()
		answer, err := e.answer(s, request.Body)
		if err != nil || answer.kind == 0 {
			answer = status(err)
		}
		answer.id = p.id
		return &answer
	}
	return nil
}

// status is how a request ended (SSH_FXP_STATUS).
func status(err error) packet {
	const isOK, noSuchFile, permissionDenied, failure, badMessage = 0, 2, 3, 4, 5
	code, text := uint32(isOK), "Success"
	switch {
	case errors.Is(err, errMalformed):
		code, text = badMessage, "Bad message"
	case errors.Is(err, fs.ErrNotExist):
		code, text = noSuchFile, "No such file"
	case errors.Is(err, fs.ErrPermission):
		code, text = permissionDenied, "Permission denied"
	case err != nil:
		code, text = failure, "Failure"
	}
	return packet{kind: typeStatus, body: ssh.Marshal(struct {
		Code           uint32
		Text, Language string
	}{code, text, ""})}
}

// fsync syncs the file: every descriptor of it will do.
func (s *server) fsync(body []byte) (packet, error) {
	file, err := s.open(body)
	if err != nil {
		return packet{}, err
	}
	defer file.Close()
	return packet{}, file.Sync()
}

// open opens the file of a request that is a handle alone once more.
func (s *server) open(body []byte) (*os.File, error) {
	var m struct{ Handle string }
	if ssh.Unmarshal(body, &m) != nil {
		return nil, errMalformed
	}
	path, err := s.path(m.Handle)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) { // it may be written to only
		file, err = os.OpenFile(path, os.O_WRONLY, 0)
	}
	return file, err
}

func (s *server) fstatvfs(body []byte) (packet, error) {
	file, err := s.open(body)
	if err != nil {
		return packet{}, err
	}
	defer file.Close()
	var f unix.Statfs_t
	if err := unix.Fstatfs(int(file.Fd()), &f); err != nil {
		return packet{}, err
	}
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
		f.Files, f.Ffree, f.Ffree, fsid, flags, uint64(f.Namelen))}, nil
}

func numbers(all ...uint64) (body []byte) {
	for _, number := range all {
		body = binary.BigEndian.AppendUint64(body, number)
	}
	return body
}

// lsetstat sets attributes of a link itself.
func (s *server) lsetstat(body []byte) (packet, error) {
	var m struct {
		Path  string
		Flags uint32
		Rest  []byte `ssh:"rest"`
	}
	if ssh.Unmarshal(body, &m) != nil {
		return packet{}, errMalformed
	}
	const hasSize, hasOwner, hasMode, hasTimes = 1, 2, 4, 8
	var field [2]uint32
	next := func(n int) bool {
		for i := range n {
			if len(m.Rest) < 4 {
				return false
			}
			field[i], m.Rest = binary.BigEndian.Uint32(m.Rest), m.Rest[4:]
		}
		return true
	}
	var failed error
	switch {
	case m.Flags&hasSize != 0:
		return packet{}, errMalformed
	case m.Flags&hasOwner != 0 && next(2):
		failed = os.Lchown(m.Path, int(field[0]), int(field[1]))
	}
	if m.Flags&hasMode != 0 && next(1) {
		failed = errors.Join(failed, unix.Fchmodat(unix.AT_FDCWD, m.Path, field[0]&0o7777, unix.AT_SYMLINK_NOFOLLOW))
	}
	if m.Flags&hasTimes != 0 && next(2) {
		times := []unix.Timespec{unix.NsecToTimespec(int64(field[0]) * int64(time.Second)), unix.NsecToTimespec(int64(field[1]) * int64(time.Second))}
		failed = errors.Join(failed, unix.UtimesNanoAt(unix.AT_FDCWD, m.Path, times, unix.AT_SYMLINK_NOFOLLOW))
	}
	return packet{}, failed
}

// limits says the largest packet, read and write, and that nothing here bounds
// the handles.
func (s *server) limits([]byte) (packet, error) {
	return packet{kind: typeExtendedReply, body: numbers(maxPacket, maxData, maxData, 0)}, nil
}

// copyData copies from one open file to another, all of it where the length is 0.
func (s *server) copyData(body []byte) (packet, error) {
	var m struct {
		From         string
		FromAt, Size uint64
		To           string
		ToAt         uint64
	}
	if ssh.Unmarshal(body, &m) != nil || m.FromAt > 1<<62 || m.Size > 1<<62 || m.ToAt > 1<<62 {
		return packet{}, errMalformed
	}
	fromPath, err := s.path(m.From)
	toPath, err2 := s.path(m.To)
	if err := errors.Join(err, err2); err != nil {
		return packet{}, err
	}
	if m.From == m.To {
		return packet{}, errors.New("a file is not copied into itself")
	}
	from, err := os.Open(fromPath)
	if err != nil {
		return packet{}, err
	}
	defer from.Close()
	to, err := os.OpenFile(toPath, os.O_WRONLY, 0)
	if err != nil {
		return packet{}, err
	}
	defer to.Close()
	size := int64(m.Size)
	if size == 0 {
		size = 1 << 62
	}
	_, err = io.Copy(io.NewOffsetWriter(to, int64(m.ToAt)), io.NewSectionReader(from, int64(m.FromAt), size))
	return packet{}, err
}

// expandPath makes a path absolute, of which a ~ may be the first part.
func (s *server) expandPath(body []byte) (packet, error) {
	var m struct{ Path string }
	if ssh.Unmarshal(body, &m) != nil {
		return packet{}, errMalformed
	}
	path := m.Path
	if strings.HasPrefix(path, "~") {
		name, rest, _ := strings.Cut(path[1:], "/")
		home, err := homeOf(name)
		if err != nil {
			return packet{}, err
		}
		path = filepath.Join(home, rest)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return packet{}, err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return name(path), nil
}

func (s *server) homeDirectory(body []byte) (packet, error) {
	var m struct{ User string }
	if ssh.Unmarshal(body, &m) != nil {
		return packet{}, errMalformed
	}
	home, err := homeOf(m.User)
	if err != nil {
		return packet{}, err
	}
	return name(home), nil
}

// homeOf is a user's home directory; "" is who we are.
func homeOf(name string) (string, error) {
	if name == "" {
		return os.UserHomeDir()
	}
	account, err := user.Lookup(name)
	if err != nil {
		return "", fs.ErrNotExist
	}
	return account.HomeDir, nil
}

// name is the answer that is one path.
func name(path string) packet {
	return packet{kind: typeName, body: ssh.Marshal(struct {
		Count      uint32
		Path, Long string
		Attributes uint32
	}{1, path, path, 0})}
}

// names tells the names of users and groups by their numbers, "" for one that
// is not known.
func (s *server) names(body []byte) (packet, error) {
	var m struct{ Users, Groups string }
	if ssh.Unmarshal(body, &m) != nil || len(m.Users)%4 != 0 || len(m.Groups)%4 != 0 {
		return packet{}, errMalformed
	}
	users := namesOf(m.Users, func(id string) (string, error) {
		account, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return account.Username, nil
	})
	groups := namesOf(m.Groups, func(id string) (string, error) {
		group, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return group.Name, nil
	})
	return packet{kind: typeExtendedReply, body: ssh.Marshal(struct{ Users, Groups string }{users, groups})}, nil
}

func namesOf(ids string, lookup func(string) (string, error)) string {
	var names []byte
	for ; len(ids) > 0; ids = ids[4:] {
		found, _ := lookup(strconv.Itoa(int(binary.BigEndian.Uint32([]byte(ids[:4])))))
		names = append(names, ssh.Marshal(struct{ Name string }{found})...)
	}
	return string(names)
}
