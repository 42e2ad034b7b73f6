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
	// streamWindow lets one stream have on the way what SSH itself would.
	streamWindow = 2 << 20

	// maxUnaccepted is how many streams may wait for the helper to accept them.
	maxUnaccepted = 64

	// littleData is what a read takes of a stream that is not busy, and then
	// keeps no buffer.
	littleData = 4 << 10

	// letGoTimeout is how long a helper may take to end a stream that the
	// gateway has let go of, and maxLetGo how many of those there may be. Then the
	// helper is let go of. It is longer than the keepalive waits on a slow line.
	letGoTimeout = 2 * time.Minute
	maxLetGo     = 8 << 10
)

// Standard are the two standard streams of a helper, seen from either side.
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

// muxed is how streams share the standard ones. Its keepalive finds a helper
// that is gone, and is for what cuts idle streams on the way to an engine. A
// stream may be half-closed for as long as it likes.
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

// stream is one of several between the gateway and the helper: a control, which
// carries messages, or data. As its peer can only be told that there is no more
// to come, one end is let go of by its owner and ended by the peer.
type stream struct {
	*yamux.Stream
	broken  atomic.Bool
	letGo   sync.Once
	closed  chan struct{} // closed by Close
	reading chan struct{} // holds a token while somebody reads
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
	if sshconn.Closed(s.closed) { // what comes now is drain's
		return 0, net.ErrClosed
	}
	n, err := s.Stream.Read(p)
	if n < littleData {
		s.Shrink() // a busy stream would make its buffer anew for each read
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

// CloseWrite says that there is no more to come.
func (s *stream) CloseWrite() error { return s.Stream.Close() }

// Close lets go: no call on the stream waits any more, and the peer is told
// that nothing comes. It waits for nobody.
func (s *stream) Close() error {
	s.letGo.Do(func() { close(s.closed) })
	s.SetReadDeadline(time.Now())
	s.breakOff()
	return s.Stream.Close()
}

// breakOff ends writes: nobody takes what is written.
func (s *stream) breakOff() {
	s.broken.Store(true)
	s.SetWriteDeadline(time.Now())
}

// drain reads until the peer has ended the stream, and reports whether it did
// in time.
func (s *stream) drain(timeout time.Duration) bool {
	s.reading <- struct{}{} // whoever read is told by Close
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

// send sends one message. A peer that takes none for a while gets no more: what
// follows half a message would make no sense.
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

// receive reads one message of at most so many bytes.
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
