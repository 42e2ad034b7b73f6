package ssh

import "sync"

// reading says who reads packets after the login: the loop of the connection protocol
// by itself, or a goroutine that hands them to it.
type reading struct {
	sync.Mutex
	loops      bool // the loop may read by itself
	alone      bool // it does, when it has handled what was handed to it
	busy       bool // it handles a packet, and does not read
	exchanging bool // this side's KEXINIT is sent, and that exchange is not over
	ended      bool
}

// isLoops reports whether the loop may read by itself.
func (r *reading) isLoops() bool {
	r.Lock()
	defer r.Unlock()
	return r.loops
}

// begin is called by the loop, which has handled a packet. It reports whether the loop
// is to read by itself. It looks for packets that were handed to it after it knows that
// it is alone: by then the other goroutine has handed over its last.
func (r *reading) begin(incoming <-chan []byte) bool {
	r.Lock()
	defer r.Unlock()
	r.busy = false
	return r.alone && len(incoming) == 0
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

// leave is called by the loop, which reads no more. It reports whether nobody else does:
// whoever does goes on until the connection's end.
func (r *reading) leave() bool {
	r.Lock()
	defer r.Unlock()
	r.loops = false
	return r.alone
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
	if !t.reading.begin(t.incoming) {
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
		if err != nil {
			t.endReading(err)
			return
		}
		if p[0] != msgIgnore && p[0] != msgDebug {
			t.incoming <- p
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
