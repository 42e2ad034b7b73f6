package calls

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	headSize = 16

	// maxBody is the size of the largest body in bytes: more than a client can send
	// in one request, written as JSON.
	maxBody = 4 << 20

	// maxFiles is how many descriptors a message may have; maxAhead is how many may
	// have arrived for messages that have not.
	maxFiles = 4
	maxAhead = 64

	// sendTimeout is how long the other process may take no message. After that it is
	// as good as ended.
	sendTimeout = 2 * time.Minute
)

// Kinds of messages.
const (
	kindCall   = 1
	kindAnswer = 2
	kindCancel = 3 // nobody waits for the call's answer any more
)

type message struct {
	kind  byte
	call  uint64
	body  []byte
	files []*os.File
}

// call is the body of a call.
type call struct {
	Verb string          `json:"verb"`
	Args json.RawMessage `json:"args"`
}

// answer is the body of an answer.
type answer struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

func (m message) close() { closeAll(m.files) }

// result decodes an answer. It closes files that come with an error.
func (m *message) result(into any) error {
	var said answer
	err := json.Unmarshal(m.body, &said)
	if err == nil && said.Error != "" {
		err = errors.New(said.Error)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(said.Result, into)
	}
	if err != nil {
		m.close()
		m.files = nil
	}
	return err
}

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}

// send sends a message. Its files stay the caller's.
func (p *Peer) send(m message) error {
	if len(m.body) > maxBody || len(m.files) > maxFiles {
		return fmt.Errorf("a message of %d bytes and %d files is too large", len(m.body), len(m.files))
	}
	head := make([]byte, headSize, headSize+len(m.body))
	binary.BigEndian.PutUint32(head, uint32(len(m.body)))
	head[4], head[5] = m.kind, byte(len(m.files))
	binary.BigEndian.PutUint64(head[8:], m.call)
	var rights []byte
	if len(m.files) > 0 {
		var err error
		if rights, err = rightsOf(m.files); err != nil {
			return err
		}
	}
	p.writing.Lock()
	defer p.writing.Unlock()
	p.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	err := p.write(append(head, m.body...), rights)
	if err != nil {
		p.conn.Close() // nothing could follow half a message
	}
	return err
}

// write writes a message, its descriptors with the first byte.
func (p *Peer) write(bytes, rights []byte) error {
	n := 0
	if len(rights) > 0 {
		var err error
		if n, _, err = p.conn.WriteMsgUnix(bytes[:1], rights, nil); err != nil {
			return err
		}
	}
	_, err := p.conn.Write(bytes[n:])
	return err
}

// reader reads messages.
type reader struct {
	conn   *net.UnixConn
	rights []byte
	files  []*os.File // that no message has taken yet
	in     *bufio.Reader
}

func newReader(conn *net.UnixConn) *reader {
	r := &reader{conn: conn, rights: make([]byte, unix.CmsgSpace(maxFiles*4))}
	r.in = bufio.NewReaderSize(r, 64<<10)
	return r
}

func (r *reader) close() { closeAll(r.files) }

var errFiles = errors.New("more descriptors came than messages take")

// Read reads bytes, and keeps the descriptors that come with them.
func (r *reader) Read(p []byte) (int, error) {
	n, nRights, flags, _, err := r.conn.ReadMsgUnix(p, r.rights)
	if err != nil {
		return 0, err
	}
	files, err := filesOf(r.rights[:nRights])
	r.files = append(r.files, files...)
	switch {
	case err != nil:
		return 0, err
	case flags&unix.MSG_CTRUNC != 0, len(r.files) > maxAhead:
		return 0, errFiles
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// filesOf are the descriptors of control messages, closed on exec.
func filesOf(rights []byte) (files []*os.File, err error) {
	if len(rights) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, parseErr := unix.ParseUnixRights(&m)
		err = errors.Join(err, parseErr)
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, err
}

func (r *reader) next() (message, error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return message{}, err
	}
	size, files := binary.BigEndian.Uint32(head[:]), int(head[5])
	m := message{kind: head[4], call: binary.BigEndian.Uint64(head[8:])}
	if size > maxBody || files > maxFiles || m.kind < kindCall || m.kind > kindCancel || head[6] != 0 || head[7] != 0 {
		return message{}, errors.New("no message came")
	}
	m.body = make([]byte, size)
	if _, err := io.ReadFull(r.in, m.body); err != nil {
		return message{}, err
	}
	if files > len(r.files) {
		return message{}, errors.New("a message came without its descriptors")
	}
	m.files, r.files = r.files[:files:files], r.files[files:]
	return m, nil
}

// unlessOver is nil for the end of the connection, where no message was cut.
func unlessOver(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, unix.ECONNRESET) {
		return nil
	}
	return err
}

// socketPair makes two connected sockets.
func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "calls"), os.NewFile(uintptr(fds[1]), "calls"), nil
}

// rightsOf are files as a control message. They are taken as they are: [os.File.Fd]
// would have every holder wait in each call.
func rightsOf(files []*os.File) ([]byte, error) {
	var fds []int
	for _, file := range files {
		raw, err := file.SyscallConn()
		if err != nil {
			return nil, err
		}
		if err := raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) }); err != nil {
			return nil, err
		}
	}
	return unix.UnixRights(fds...), nil
}
