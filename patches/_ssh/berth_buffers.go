package ssh

import (
	"bufio"
	"io"
	"sync"
)

// bufferSize is enough for the largest data packet that most peers send or accept, as
// it is on the network.
const bufferSize = channelMaxPacket + 1<<10

// largePacket is the size, in bytes, from which a connection takes a packet over. A
// copy of a smaller one costs less than a buffer that waits.
const largePacket = bufferSize / 2

// buffers has free buffers of bufferSize.
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

// giveBuffer takes a buffer back. The caller must not use it any more.
func giveBuffer(buffer []byte) {
	if cap(buffer) == bufferSize {
		whole := (*[bufferSize]byte)(buffer[:bufferSize])
		poisoned(whole)
		buffers.Put(whole)
	}
}

// packetReader buffers what it reads until the first key exchange is over, since each
// read may wait for its turn. Later it reads directly: the connection below must
// buffer by itself, or it is read twice for each packet.
type packetReader struct {
	buffered  *bufio.Reader // nil once it is not needed any more
	conn      io.Reader
	exchanged bool
	read      []byte // the buffer with the last packet; nil if it is not from the pool
	lend      bool   // the caller gets data packets in that buffer, not in a copy
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

// bufferFor returns a buffer for n bytes of a packet, or nil if the cipher is to
// allocate memory.
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

// stays reports whether a packet that was read stays in the buffer; otherwise it must
// be copied.
func (r *packetReader) stays(packet []byte) bool {
	own := r.own
	r.own = false // the next cipher may use one buffer for all packets
	lent := r.lend && r.read != nil && len(packet) > 0 && (packet[0] == msgChannelData || packet[0] == msgChannelExtendedData)
	return own || lent
}

// giveBack gives the buffer back after the packet was copied out of it.
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

// takeReceived returns the buffer that contains a packet, which the caller then owns
// and must give back; nil if it is not from the pool. Only the loop calls it.
func (m *mux) takeReceived(packet []byte) []byte {
	t, ok := m.conn.(*handshakeTransport)
	if !ok || t.received == nil {
		return nil
	}
	whole := t.received[:bufferSize]
	t.received = nil
	if &whole[1] != &packet[0] { // the first byte is the length of the padding
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

// beforePacket is how many bytes a cipher puts before a packet; behindPacket is more
// than it puts behind it.
const (
	beforePacket = prefixLen
	behindPacket = 64
)

// outgoing is a buffer in which a packet is built, with room around it, so that a
// cipher can encrypt it in place.
type outgoing struct {
	whole []byte // nil before the first packet, and after the connection has taken it over
}

// make returns room for a packet.
func (o *outgoing) make(size uint32) []byte {
	if need := beforePacket + int(size) + behindPacket; cap(o.whole) < need {
		o.whole = takeBuffer(need)
	}
	return o.whole[beforePacket : beforePacket+size]
}

// has reports whether a packet was built in this buffer.
func (o *outgoing) has(packet []byte) bool {
	return o != nil && cap(o.whole) > beforePacket && &o.whole[:beforePacket+1][beforePacket] == &packet[0]
}

// giveBack gives the buffer back.
func (o *outgoing) giveBack() { giveBuffer(o.whole) }

// writeMade is writePacket for a packet that was built in out.
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

// pushMade is pushPacket for a packet that was built in out, or, if out is nil,
// elsewhere.
func (t *handshakeTransport) pushMade(out *outgoing, p []byte) error {
	if below, ok := t.conn.(*transport); ok && out != nil {
		below.bufWriter.made = out
		defer func() { below.bufWriter.made = nil }()
	}
	return t.pushPacket(p)
}

// wholeWriter can be implemented by a net.Conn. WriteWhole is Write, but takes the
// packet over: it calls giveBack when the packet is written.
type wholeWriter interface {
	WriteWhole(packet []byte, giveBack func([]byte)) (int, error)
}

// packetWriter writes a packet in one call, whether a cipher passes it whole or in
// parts, of which the first one is short.
type packetWriter struct {
	conn  io.Writer
	parts []byte
	made  *outgoing // where the present packet was built; nil for most packets
}

// shortPart is longer than the first part of a packet, which is its length field.
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

// begin prepares the buffer for a packet of this length, and writes the length into
// it. If the packet was built in a buffer, it uses that one.
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

// end writes the encrypted packet, and keeps nothing of it.
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
