package sftpd

import (
	"bufio"
	"errors"
	"io"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// server is one client being served.
type server struct {
	readOnly bool
	tree     tree
	handles  map[string]*handle
	last     uint32 // handle
	names    *names
	data     []byte // that reads use one after the other
}

// request is how a kind of request is carried out. An answer of no kind is a status.
type request struct {
	answer  func(s *server, body []byte) (packet, error)
	changes bool // files, so that who may only read does not have it
}

func requests() map[byte]request {
	return map[byte]request{
		typeOpen:     {(*server).openFile, false}, // it asks for more
		typeClose:    {(*server).closeHandle, false},
		typeRead:     {(*server).read, false},
		typeWrite:    {(*server).write, true},
		typeLstat:    {(*server).lstat, false},
		typeFstat:    {(*server).fstat, false},
		typeSetstat:  {(*server).setstat, true},
		typeFsetstat: {(*server).fsetstat, true},
		typeOpendir:  {(*server).opendir, false},
		typeReaddir:  {(*server).readdir, false},
		typeRemove:   {(*server).remove, true},
		typeMkdir:    {(*server).mkdir, true},
		typeRmdir:    {(*server).rmdir, true},
		typeRealpath: {(*server).realpath, false},
		typeStat:     {(*server).stat, false},
		typeRename:   {(*server).rename, true},
		typeReadlink: {(*server).readlink, false},
		typeSymlink:  {(*server).symlink, true},
		typeExtended: {(*server).extended, false}, // each for itself
	}
}

// Options hold back what a client may do.
type Options struct {
	ReadOnly  bool   // whatever changes a file is denied
	Directory string // is all that the client sees, as its /; "": everything
}

// Serve answers a client on two streams until it has no more to say.
func Serve(in io.Reader, out io.Writer, o Options) error {
	tree, err := newTree(o.Directory)
	if err != nil {
		return err
	}
	defer tree.close()
	s := &server{readOnly: o.ReadOnly, tree: tree, handles: map[string]*handle{}, names: newNames()}
	defer s.closeAll()
	from, to := bufio.NewReaderSize(in, maxPacket), bufio.NewWriterSize(out, maxPacket)
	known := requests()
	for {
		p, err := readPacket(from)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.answer(known, p).writeTo(to); err != nil {
			return err
		}
		if from.Buffered() > 0 { // there is more to answer
			continue
		}
		if err := to.Flush(); err != nil {
			return err
		}
	}
}

func (s *server) answer(known map[byte]request, p packet) packet {
	if p.kind == typeInit {
		return s.version()
	}
	answer, err := packet{}, error(unix.ENOSYS)
	switch request, isKnown := known[p.kind]; {
	case isKnown && request.changes && s.readOnly:
		err = unix.EACCES
	case isKnown:
		answer, err = request.answer(s, p.body)
	}
	if err != nil || answer.kind == 0 {
		answer = status(err)
	}
	answer.id = p.id
	return answer
}

// version says which version is spoken, and the extensions.
func (s *server) version() packet {
	const version = 3
	p := packet{kind: typeVersion, id: version}
	for _, e := range extensions() {
		if !e.changes || !s.readOnly {
			p.body = append(p.body, ssh.Marshal(struct{ Name, Version string }{e.name, e.version})...)
		}
	}
	return p
}
