package ssh

import (
	"bufio"
	"io"
	"sync"
)

// bufferSize holds the largest packet of data that most peers send or take, as it is on
// the wire.
const bufferSize = channelMaxPacket + 1<<10

// largePacket is what a connection takes over as it is, in bytes. Copies of smaller ones
// cost less than a buffer that waits.
const largePacket = bufferSize / 2

// buffers are of bufferSize, and nobody's.
var buffers sync.Pool

// takeBuffer returns an empty buffer for at least n bytes.
func takeBuffer(n int) []byte {
	if n > bufferSize {
		return make([]byte, 0, n)
	}
	if buffer, ok := buffers.Get().(*[bufferSize]byte); ok {
		mustBePoisoned(buffer)
		return buffer[:0]
	}
	return make([]byte, 0, bufferSize)
}

// giveBuffer takes a buffer back, of which nothing may be read any more.
func giveBuffer(buffer []byte) {
	if cap(buffer) == bufferSize {
		whole := (*[bufferSize]byte)(buffer[:bufferSize])
		poisoned(whole)
		buffers.Put(whole)
	}
}

// packetReader buffers what it reads until the keys are exchanged: each of these
// reads may wait for its turn. What is below an idle connection buffers by itself,
// or reads twice a packet.
type packetReader struct {
	buffered  *bufio.Reader // nil when it is needed no more
	conn      io.Reader
	exchanged bool
	read      []byte // the buffer that the last packet is in; nil if it is not of the pool
	lend      bool   // a packet of data is the caller's, in that buffer
	own       bool   // the last packet is in memory of its own
}

func (r *packetReader) Read(p []byte) (int, error) {
	if r.exchanged && r.buffered != nil && r.buffered.Buffered() == 0 {
		r.buffered = nil
	}
	if r.buffered == nil {
		return r.conn.Read(p)
	}
	return r.buffered.Read(p)
}

// bufferFor returns a buffer for n bytes of a packet; nil where memory of its own is
// to be made.
func bufferFor(from io.Reader, n int) []byte {
	r, ok := from.(*packetReader)
	if !ok {
		return nil
	}
	r.own = n < roomForSmall || n > bufferSize
	if r.own {
		return nil
	}
	r.read = takeBuffer(n)
	return r.read
}

// stays reports whether a packet that was read stays where it is, or else is to be copied.
func (r *packetReader) stays(packet []byte) bool {
	own := r.own
	r.own = false // the next cipher may have one buffer for all
	lent := r.lend && r.read != nil && len(packet) > 0 && (packet[0] == msgChannelData || packet[0] == msgChannelExtendedData)
	return own || lent
}

// giveBack gives the buffer back when the packet was copied out of it.
func (r *packetReader) giveBack() {
	giveBuffer(r.read)
	r.read = nil
}

// readLent is readOnePacket, for the loop. Data stays in the buffer that it was read
// into, until the loop takes that (see takeReceived).
func (t *handshakeTransport) readLent() ([]byte, error) {
	below, ok := t.conn.(*transport)
	if !ok {
		return t.readOnePacket(false)
	}
	r := below.bufReader
	r.lend = true
	packet, err := t.readOnePacket(false)
	r.lend = false
	t.received, r.read = r.read, nil
	return packet, err
}

// takeReceived returns the buffer that a packet is in, which is the caller's from then
// on, to be given back; nil if it is not of the pool. Only the loop calls it.
func (m *mux) takeReceived(packet []byte) []byte {
	t, ok := m.conn.(*handshakeTransport)
	if !ok || t.received == nil {
		return nil
	}
	whole := t.received[:bufferSize]
	t.received = nil
	if &whole[1] != &packet[0] { // behind the length of its padding
		return nil
	}
	return whole
}

// writeReceived is write, of data that lies in a buffer of the pool; nil for data that
// does not. It stays there if it does not fit behind the last: then the two of
// them fill one buffer at least, and a window of n bytes holds little more than 2n.
func (b *buffer) writeReceived(data, whole []byte) {
	if whole == nil || len(data) < roomForSmall {
		b.write(data) // copies what is small
		giveBuffer(whole)
		return
	}
	b.Cond.L.Lock()
	defer b.Cond.L.Unlock()
	if b.merge(data) {
		giveBuffer(whole)
	} else {
		b.tail.next = &element{buf: data, whole: whole}
		b.tail = b.tail.next
	}
	b.Cond.Signal()
}

// beforePacket is what a cipher puts before a packet, and behindPacket is more than what
// it puts behind, in bytes.
const (
	beforePacket = prefixLen
	behindPacket = 64
)

// outgoing is where a packet is made: there is room around it, in which a cipher can
// encrypt it as it lies.
type outgoing struct {
	whole []byte // nil before the first packet, and when the connection has taken it over
}

// make returns room for a packet.
func (o *outgoing) make(size uint32) []byte {
	if need := beforePacket + int(size) + behindPacket; cap(o.whole) < need {
		o.whole = takeBuffer(need)
	}
	return o.whole[beforePacket : beforePacket+size]
}

// has reports whether it is where a packet was made.
func (o *outgoing) has(packet []byte) bool {
	return o != nil && cap(o.whole) > beforePacket && &o.whole[:beforePacket+1][beforePacket] == &packet[0]
}

// giveBack gives back what is there.
func (o *outgoing) giveBack() { giveBuffer(o.whole) }

// writeMade is writePacket, of a packet that was made in out.
func (ch *channel) writeMade(out *outgoing, packet []byte) error {
	t, ok := ch.mux.conn.(*handshakeTransport)
	if !ok {
		return ch.writePacket(packet)
	}
	ch.writeMu.Lock()
	defer ch.writeMu.Unlock()
	if ch.sentClose {
		return io.EOF
	}
	return t.writeMade(out, packet)
}

func (t *handshakeTransport) writePacket(p []byte) error { return t.writeMade(nil, p) }

// pushMade is pushPacket, of a packet that was made in out; nil for any other.
func (t *handshakeTransport) pushMade(out *outgoing, p []byte) error {
	if below, ok := t.conn.(*transport); ok && out != nil {
		below.bufWriter.made = out
		defer func() { below.bufWriter.made = nil }()
	}
	return t.pushPacket(p)
}

// wholeWriter is what a net.Conn may have. WriteWhole is Write, and takes the packet
// over: giveBack is called with it when it has been written.
type wholeWriter interface {
	WriteWhole(packet []byte, giveBack func([]byte)) (int, error)
}

// packetWriter writes a packet at once, whether a cipher gives it whole, or in
// parts of which the first is short.
type packetWriter struct {
	conn  io.Writer
	parts []byte
	made  *outgoing // where the packet was made that is written now; nil for most
}

// shortPart is longer than the first part of a packet, which is its length.
const shortPart = 8

func (w *packetWriter) Write(p []byte) (int, error) {
	if w.parts == nil {
		if len(p) > shortPart {
			return w.conn.Write(p)
		}
		w.parts = takeBuffer(0)
	}
	w.parts = append(w.parts, p...)
	return len(p), nil
}

// Flush writes the parts that are there.
func (w *packetWriter) Flush() error {
	if w.parts == nil {
		return nil
	}
	_, err := w.writeWhole(w.parts)
	w.parts = nil
	return err
}

// writeWhole writes a packet, and gives its buffer back.
func (w *packetWriter) writeWhole(packet []byte) (int, error) {
	if takes, ok := w.conn.(wholeWriter); ok && len(packet) >= largePacket {
		return takes.WriteWhole(packet, giveBuffer)
	}
	n, err := w.conn.Write(packet)
	giveBuffer(packet)
	return n, err
}

// begin takes a buffer for a packet of this length, the one that it was made in if it
// was, and puts the length before it.
func (c *gcmCipher) begin(w io.Writer, packet []byte, length uint32) (int, error) {
	size := len(c.prefix) + int(length) + gcmTagSize
	if p, ok := w.(*packetWriter); ok && p.made.has(packet) && cap(p.made.whole) >= size {
		c.whole, p.made.whole = p.made.whole, nil
	} else {
		c.whole = takeBuffer(size)
	}
	c.whole = append(c.whole[:0], c.prefix[:]...)
	c.buf = c.whole[len(c.prefix):]
	return len(c.prefix), nil
}

// end writes the packet, which was made in its place, and keeps nothing of it.
func (c *gcmCipher) end(w io.Writer) (int, error) {
	whole := c.whole[:len(c.prefix)+len(c.buf)]
	c.whole, c.buf = nil, nil
	if p, ok := w.(*packetWriter); ok {
		return p.writeWhole(whole)
	}
	n, err := w.Write(whole)
	giveBuffer(whole)
	return n, err
}
