package streams

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-ssh/berth/helper/messages"
	"github.com/berth-ssh/berth/sshconn"

	"github.com/hashicorp/yamux"
)

const (
	// streamWindow is how many bytes of one stream may be in flight: as many as of an
	// SSH channel.
	streamWindow = 2 << 20

	// maxUnaccepted is how many streams may wait for the helper to accept them.
	maxUnaccepted = 64

	// littleData: a stream whose last read was shorter than this gives its buffer
	// back.
	littleData = 4 << 10

	// letGoTimeout is how long a helper may take to end a stream after the gateway
	// has closed it; maxLetGo is how many such streams there may be. A helper that
	// exceeds either is released. The time is longer than the keepalive's patience on
	// a slow line.
	letGoTimeout = 2 * time.Minute
	maxLetGo     = 8 << 10
)

// Standard is the standard input and output of a helper, seen from either side.
type Standard struct {
	io.Reader
	io.Writer
	OnClose func()
}

// Close closes both.
func (s Standard) Close() error {
	s.OnClose()
	return nil
}

// muxed returns yamux's configuration. Its keepalive notices a helper that is gone,
// and keeps proxies on the way to an engine from cutting an idle connection. A stream
// may stay half-closed for any time.
func muxed() *yamux.Config {
	config := yamux.DefaultConfig()
	config.KeepAliveInterval = 30 * time.Second
	config.ConnectionWriteTimeout = time.Minute
	config.StreamCloseTimeout = 0
	config.MaxStreamWindowSize = streamWindow
	config.AcceptBacklog = maxUnaccepted
	config.LogOutput = io.Discard
	return config
}

// stream is one of the streams between gateway and helper: a control, which carries
// messages, or a stream of data. yamux can only tell a peer that no more data comes.
// So the owner of a stream closes it first, and the peer then ends its direction.
type stream struct {
	*yamux.Stream
	broken  atomic.Bool
	letGo   sync.Once
	closed  chan struct{} // closed by Close
	reading chan struct{} // holds a token during a Read
}

func newStream(from *yamux.Stream) *stream {
	return &stream{Stream: from, closed: make(chan struct{}), reading: make(chan struct{}, 1)}
}

func (s *stream) Read(p []byte) (int, error) {
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	case <-s.closed:
	}
	if sshconn.Closed(s.closed) { // the rest is read by drain
		return 0, net.ErrClosed
	}
	n, err := s.Stream.Read(p)
	if n < littleData {
		s.Shrink() // not for a busy stream, which would allocate a new buffer at each read
	}
	return n, err
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	if err != nil && s.broken.Load() {
		err = io.ErrClosedPipe
	}
	return n, err
}

// CloseWrite tells the peer that no more data comes.
func (s *stream) CloseWrite() error { return s.Stream.Close() }

// Close ends every call on the stream, and tells the peer that no more data comes. It
// does not wait for the peer.
func (s *stream) Close() error {
	s.letGo.Do(func() { close(s.closed) })
	s.SetReadDeadline(time.Now())
	s.breakOff()
	return s.Stream.Close()
}

// breakOff makes writes fail: the peer takes no more.
func (s *stream) breakOff() {
	s.broken.Store(true)
	s.SetWriteDeadline(time.Now())
}

// drain reads until the peer has ended the stream. It reports whether that happened
// within the timeout.
func (s *stream) drain(timeout time.Duration) bool {
	s.reading <- struct{}{} // Close has ended other reads
	defer func() { <-s.reading }()
	deadline := time.Now().Add(timeout)
	s.SetReadDeadline(deadline)
	buf := make([]byte, littleData)
	for time.Now().Before(deadline) {
		if _, err := s.Stream.Read(buf); err != nil {
			return !errors.Is(err, yamux.ErrTimeout)
		}
		s.Shrink()
	}
	return false
}

// send sends one message. If the peer does not take it within messages.SendTimeout,
// the stream is ended: nothing could follow half a message.
func (s *stream) send(kind byte, message any) error {
	body := messages.Marshal(kind, message)
	if len(body) > messages.MaxRequest {
		return fmt.Errorf("more than %d bytes in one command", messages.MaxRequest)
	}
	s.SetWriteDeadline(time.Now().Add(messages.SendTimeout))
	_, err := s.Stream.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	if err != nil {
		s.CloseWrite()
	}
	return err
}

// receive reads one message. It fails for one of more than most bytes.
func (s *stream) receive(most uint32) (messages.Message, error) {
	var length [4]byte
	if _, err := io.ReadFull(s, length[:]); err != nil {
		return messages.Message{}, err
	}
	size := binary.BigEndian.Uint32(length[:])
	if size == 0 || size > most {
		return messages.Message{}, errors.New("a message too large or without a type")
	}
	message := make([]byte, size)
	if _, err := io.ReadFull(s, message); err != nil {
		return messages.Message{}, err
	}
	return messages.Message{Kind: message[0], Body: message[1:]}, nil
}
