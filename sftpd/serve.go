package sftpd

import (
	"bufio"
	"errors"
	"io"
	"sync"

	"github.com/berth-ssh/berth/sshconn"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// Bounds that OpenSSH's sftp-server has, too.
const (
	maxPacket = 256 << 10
	maxData   = maxPacket - 1<<10 // of a read or a write
)

// Types of packets that mean something here.
const (
	typeInit          = 1
	typeVersion       = 2
	typeOpen          = 3
	typeClose         = 4
	typeStatus        = 101
	typeHandle        = 102
	typeName          = 104
	typeExtended      = 200
	typeExtendedReply = 201
)

// server stands between a client and pkg/sftp.
type server struct {
	client   io.Writer
	readOnly bool
	running  sshconn.Count // requests that pkg/sftp has not answered

	mu      sync.Mutex
	opening map[uint32]string // paths, by requests
	handles map[string]string // paths, by handles
}

// Serve answers a client on two streams until it has no more to say. With
// readOnly, whatever changes a file is denied.
func Serve(in io.Reader, out io.WriteCloser, readOnly bool) error {
	options := []sftp.ServerOption{sftp.WithMaxTxPacket(maxData)}
	if readOnly {
		options = append(options, sftp.ReadOnly())
	}
	s := &server{client: out, readOnly: readOnly, opening: map[uint32]string{}, handles: map[string]string{}}
	requests, passOn := io.Pipe()
	inner, err := sftp.NewServer(struct {
		io.Reader
		io.WriteCloser
	}{requests, &answers{server: s, Closer: out}}, options...)
	if err != nil {
		return err
	}
	go func() { passOn.CloseWithError(s.requests(bufio.NewReaderSize(in, maxPacket), passOn)) }()
	err = inner.Serve()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// requests reads what the client asks for, answers what is an extension of
// ours, and passes the rest on. It returns when there is no more.
func (s *server) requests(from io.Reader, inner io.Writer) error {
	for {
		p, err := readPacket(from)
		if err != nil {
			return err
		}
		if answer := s.extended(p); answer != nil {
			err = s.send(answer)
		} else {
			s.heed(p)
			_, err = inner.Write(p.bytes())
		}
		if err != nil {
			return err
		}
	}
}

// heed notes what a request says that is passed on.
func (s *server) heed(p packet) {
	s.running.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch p.kind {
	case typeOpen:
		var open struct {
			Path string
			Rest []byte `ssh:"rest"`
		}
		if ssh.Unmarshal(p.body, &open) == nil {
			s.opening[p.id] = open.Path
		}
	case typeClose:
		var handle struct{ Handle string }
		if ssh.Unmarshal(p.body, &handle) == nil {
			delete(s.handles, handle.Handle)
		}
	}
}

// answered notes what pkg/sftp answers, and returns what the client gets.
func (s *server) answered(p packet) packet {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, isOpening := s.opening[p.id]
	var handle struct{ Handle string }
	switch {
	case p.kind == typeVersion:
		for _, e := range extensions() {
			if e.changes && s.readOnly {
				continue
			}
			p.body = append(p.body, ssh.Marshal(struct{ Name, Version string }{e.name, e.version})...)
		}
		return p
	case p.kind == typeHandle && isOpening && ssh.Unmarshal(p.body, &handle) == nil:
		s.handles[handle.Handle] = path
	}
	delete(s.opening, p.id)
	return p
}

// path is the file that a handle was opened as.
func (s *server) path(handle string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, isOpen := s.handles[handle]
	if !isOpen {
		return "", errors.New("no such handle")
	}
	return path, nil
}

// send sends a packet to the client, whole.
func (s *server) send(p *packet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.client.Write(p.bytes())
	return err
}

// answers is where pkg/sftp writes to, in pieces of any size.
type answers struct {
	*server
	io.Closer
	held []byte
}

func (a *answers) Write(data []byte) (int, error) {
	a.held = append(a.held, data...)
	for {
		p, size := parsePacket(a.held)
		if size == 0 {
			return len(data), nil
		}
		p = a.answered(p)
		a.running.Add(-1)
		if err := a.send(&p); err != nil {
			return 0, err
		}
		a.held = a.held[:copy(a.held, a.held[size:])]
	}
}
