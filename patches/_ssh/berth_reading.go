package ssh

import (
	"fmt"
	"sync"
)

// reading controls which goroutine reads packets after the login: the loop of the
// connection protocol itself, or another one that hands them to the loop.
type reading struct {
	sync.Mutex
	loops      bool // the loop may read by itself
	alone      bool // the loop reads, once it has handled what was handed to it
	busy       bool // the loop handles a packet, and does not read
	exchanging bool // this side has sent its KEXINIT, and that key exchange is not over
	ended      bool

	waiting [][]byte // packets that were handed to the loop when incoming was full
	held    int      // bytes that waiting counts for
}

// maxWaiting is how many bytes a peer may send after this side's KEXINIT and before its
// own, while the loop handles none of them: the windows of eight channels.
const maxWaiting = 8 * channelWindowSize

// isLoops reports whether the loop may read by itself.
func (r *reading) isLoops() bool {
	r.Lock()
	defer r.Unlock()
	return r.loops
}

// next is called by the loop after it has handled a packet. It returns the next waiting
// packet. If there is none, reads says that the loop must read the packet itself; without
// that, the packet is in incoming, or will be. Packets that were handed to the loop come
// before those that it reads: next looks for them first, and when the loop is alone
// nobody hands it more.
func (r *reading) next(incoming <-chan []byte) (packet []byte, reads bool) {
	r.Lock()
	defer r.Unlock()
	r.busy = false
	switch {
	case len(incoming) > 0:
		return nil, false
	case len(r.waiting) > 0:
		packet, r.waiting[0] = r.waiting[0], nil
		r.waiting = r.waiting[1:]
		r.held -= len(packet) + requestSize
		return packet, false
	}
	r.waiting = nil // its memory
	return nil, r.alone
}

// hand hands the loop a packet, without waiting for the loop: that may itself wait for
// the end of a key exchange, which comes in a later packet. It fails if too much waits.
func (r *reading) hand(incoming chan<- []byte, packet []byte) error {
	r.Lock()
	defer r.Unlock()
	if len(r.waiting) == 0 {
		select {
		case incoming <- packet:
			return nil
		default:
		}
	}
	if r.held += len(packet) + requestSize; r.held > maxWaiting {
		return fmt.Errorf("ssh: the peer has sent %d bytes where it was to exchange keys", maxWaiting)
	}
	r.waiting = append(r.waiting, packet)
	return nil
}

// handles is called by the loop when it begins to handle a packet. It reports whether
// another goroutine must read meanwhile.
func (r *reading) handles() bool {
	r.Lock()
	defer r.Unlock()
	r.busy = true
	return r.needsAnother()
}

// needsAnother reports whether a key exchange waits for packets that nobody reads. If so,
// the loop no longer counts as alone: the caller must start another reader.
func (r *reading) needsAnother() bool {
	needs := r.alone && r.busy && r.exchanging
	r.alone = r.alone && !needs
	return needs
}

// exchangeEnds is called when a key exchange is over.
func (r *reading) exchangeEnds() {
	r.Lock()
	defer r.Unlock()
	r.exchanging = false
}

// leave is called by the loop when it stops reading. It reports whether no other goroutine
// reads, now or later. Otherwise the other one goes on until the connection has ended.
func (r *reading) leave() bool {
	r.Lock()
	defer r.Unlock()
	alone := r.alone
	r.loops, r.alone = false, false
	return alone
}

// readsByItself makes the loop read by itself, from the moment on when the goroutine that
// read until the login has its next packet.
func (m *mux) readsByItself() {
	t, ok := m.conn.(*handshakeTransport)
	if !ok {
		return
	}
	t.reading.Lock()
	defer t.reading.Unlock()
	t.reading.loops = true
}

// handOver leaves the reading to the loop if possible, and reports whether it did.
func (t *handshakeTransport) handOver() bool {
	t.reading.Lock()
	defer t.reading.Unlock()
	if !t.reading.loops || t.reading.exchanging {
		return false
	}
	t.reading.alone = true
	select {
	case t.incoming <- nil: // wakes the loop
	default: // the loop has other packets to handle first
	}
	return true
}

// readForLoop is the loop's readPacket.
func (t *handshakeTransport) readForLoop() ([]byte, error) {
	for {
		t.received = nil
		p, err := t.readOrTake()
		if err != nil {
			return nil, err
		}
		if p == nil || p[0] == msgIgnore || p[0] == msgDebug {
			continue
		}
		if t.reading.handles() {
			go t.readAside()
		}
		return p, nil
	}
}

// readOrTake reads a packet, or takes one that another goroutine has read. It returns nil
// when that goroutine stops reading.
func (t *handshakeTransport) readOrTake() ([]byte, error) {
	p, reads := t.reading.next(t.incoming)
	switch {
	case p != nil:
		return p, nil
	case !reads:
		p, ok := <-t.incoming
		if !ok {
			return nil, t.readError
		}
		return p, nil
	}
	p, err := t.readLent()
	if err != nil {
		t.endReading(err)
		return nil, err
	}
	return p, nil
}

// readAside reads for the loop, which may be waiting for the end of a key exchange, until
// that is over.
func (t *handshakeTransport) readAside() {
	for !t.handOver() {
		p, err := t.readOnePacket(false)
		if err == nil && p[0] != msgIgnore && p[0] != msgDebug {
			err = t.reading.hand(t.incoming, p)
		}
		if err != nil {
			t.endReading(err)
			return
		}
	}
}

// exchangeBegins is called when this side has sent its KEXINIT.
func (t *handshakeTransport) exchangeBegins() {
	t.reading.Lock()
	defer t.reading.Unlock()
	t.reading.exchanging = true
	if t.reading.needsAnother() {
		go t.readAside()
	}
}

// endReading ends all reading with this error. Only the first call has an effect.
func (t *handshakeTransport) endReading(err error) {
	t.reading.Lock()
	ended := t.reading.ended
	t.reading.ended, t.reading.alone = true, false
	t.reading.Unlock()
	if ended {
		return
	}
	t.readError = err
	close(t.incoming)
	t.recordWriteError(err)
	close(t.startKex)
	t.wakeKexLoop()
}
