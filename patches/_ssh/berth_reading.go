package ssh

import (
	"fmt"
	"sync"
)

// reading says who reads packets after the login: the loop of the connection protocol
// by itself, or a goroutine that hands them to it.
type reading struct {
	sync.Mutex
	loops      bool // the loop may read by itself
	alone      bool // it does, when it has handled what was handed to it
	busy       bool // it handles a packet, and does not read
	exchanging bool // this side's KEXINIT is sent, and that exchange is not over
	ended      bool

	waiting [][]byte // what was handed to the loop while there was no room in incoming
	held    int      // what waiting costs, in bytes
}

// maxWaiting is how many bytes a peer may send between this side's KEXINIT and its own
// while the loop handles none of them: the windows of eight channels.
const maxWaiting = 8 * channelWindowSize

// isLoops reports whether the loop may read by itself.
func (r *reading) isLoops() bool {
	r.Lock()
	defer r.Unlock()
	return r.loops
}

// next is called by the loop, which has handled a packet. It returns the next one if that
// waits, or else reports whether the loop is to read it by itself; if neither, the packet
// is in incoming, or will be. What was handed to the loop comes before what it reads: it
// is looked for when it is known that the loop is alone, and nobody hands it more.
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

// hand hands the loop a packet, and does not wait for it: the loop may wait for the end
// of an exchange, which comes in one of the packets behind. It fails when too much waits.
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

// handles is called by the loop, which has a packet. It reports whether another one is
// to read meanwhile.
func (r *reading) handles() bool {
	r.Lock()
	defer r.Unlock()
	r.busy = true
	return r.needsAnother()
}

// needsAnother reports whether nobody reads what an exchange of keys waits for. Then
// the loop is no longer alone.
func (r *reading) needsAnother() bool {
	needs := r.alone && r.busy && r.exchanging
	r.alone = r.alone && !needs
	return needs
}

// exchangeEnds is called when an exchange of keys is over.
func (r *reading) exchangeEnds() {
	r.Lock()
	defer r.Unlock()
	r.exchanging = false
}

// leave is called by the loop, which reads no more. It reports whether nobody else does,
// and nobody will; or else whoever does goes on until the connection's end.
func (r *reading) leave() bool {
	r.Lock()
	defer r.Unlock()
	alone := r.alone
	r.loops, r.alone = false, false
	return alone
}

// readsByItself has the loop read by itself, as soon as the goroutine that read until
// the login has its next packet.
func (m *mux) readsByItself() {
	t, ok := m.conn.(*handshakeTransport)
	if !ok {
		return
	}
	t.reading.Lock()
	defer t.reading.Unlock()
	t.reading.loops = true
}

// handOver leaves the reading to the loop, and reports whether it has done so.
func (t *handshakeTransport) handOver() bool {
	t.reading.Lock()
	defer t.reading.Unlock()
	if !t.reading.loops || t.reading.exchanging {
		return false
	}
	t.reading.alone = true
	select {
	case t.incoming <- nil: // wakes the loop
	default: // which has others to handle first
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

// readOrTake reads a packet, or takes one that another goroutine has read; nil when that
// goroutine reads no more.
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

// readAside reads for the loop, which may wait for the end of an exchange of keys, until
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

// exchangeBegins is called when this side's KEXINIT is sent.
func (t *handshakeTransport) exchangeBegins() {
	t.reading.Lock()
	defer t.reading.Unlock()
	t.reading.exchanging = true
	if t.reading.needsAnother() {
		go t.readAside()
	}
}

// endReading tells everybody that nothing is read any more.
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
