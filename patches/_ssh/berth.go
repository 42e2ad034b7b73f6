package ssh

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
)

// The code that Berth's edits of this package call. Package berth/patches lists the
// edits and their reasons.

// EditedByBerth exists only in an edited package; programs find out by it.
func (*ServerConfig) EditedByBerth() {}

// discard reads and drops packets after the connection was closed, until the reading
// goroutine has noticed that.
func (t *handshakeTransport) discard() {
	if t.reading.leave() { // no goroutine reads but the caller
		t.endReading(net.ErrClosed)
	}
	for range t.incoming {
	}
}

// serverHandshakeOrAbandon is serverHandshake, but leaves no goroutine behind if that
// fails.
func (c *connection) serverHandshakeOrAbandon(config *ServerConfig) (*Permissions, error) {
	permissions, err := c.serverHandshake(config)
	if err != nil {
		c.abandon()
	}
	return permissions, err
}

// clientHandshakeOrAbandon is clientHandshake, but leaves no goroutine behind if that
// fails.
func (c *connection) clientHandshakeOrAbandon(address string, config *ClientConfig) error {
	err := c.clientHandshake(address, config)
	if err != nil {
		c.abandon()
	}
	return err
}

// abandon closes the connection and waits for its goroutines.
func (c *connection) abandon() {
	if c.transport != nil { // nil before the versions were exchanged
		c.transport.Close()
	}
}

// sayClosed releases the loop of the connection protocol from sends to code that
// serves no more.
func (c *connection) sayClosed() {
	if m := c.mux; m != nil {
		m.closeOnce.Do(func() { close(m.closed) })
	}
}

// roomForSmall is the size of the buffers in which data of small packets is
// collected, in bytes: in the worst case a window of n bytes holds a little more than
// 2n.
const roomForSmall = 1 << 10

// merge appends data to the last element, into its free room. It reports whether all
// of it fitted. The caller holds the lock.
func (b *buffer) merge(data []byte) bool {
	last := b.tail
	if len(data) > cap(last.buf)-len(last.buf) {
		return false
	}
	last.buf = append(last.buf, data...)
	return true
}

// letGo drops a packet that was read to its end, unless others fit behind it.
func (e *element) letGo() {
	switch {
	case len(e.buf) > 0:
	case e.whole != nil:
		giveBuffer(e.whole)
		e.whole, e.buf = nil, nil
	case cap(e.buf) < roomForSmall/4:
		e.buf = nil
	}
}

// withRoom returns data, with room for more behind it if it is small.
func withRoom(data []byte) []byte {
	if len(data) >= roomForSmall {
		return data
	}
	return append(make([]byte, 0, roomForSmall), data...)
}

// bytesBeforeLogin is how much a server receives from a client before the login. An
// agent full of keys needs a tenth of it.
const bytesBeforeLogin = 256 << 10

// countBeforeLogin counts a packet of a client that has not logged in, and fails if
// there were too many. Only the reading goroutine calls it.
func (t *handshakeTransport) countBeforeLogin(packet []byte) error {
	isServer := len(t.hostKeys) > 0
	if !isServer || t.loggedIn.Load() {
		return nil
	}
	t.beforeLogin += len(packet)
	if t.beforeLogin > bytesBeforeLogin {
		return fmt.Errorf("ssh: the client sent more than %d bytes before it was logged in", bytesBeforeLogin)
	}
	return nil
}

// readAuthRequest reads the next message of the authentication. The client may
// request the service once more before each attempt.
func (c *connection) readAuthRequest() ([]byte, error) {
	packet, err := c.transport.readPacket()
	if err != nil || packet[0] != msgServiceRequest {
		return packet, err
	}
	var request serviceRequestMsg
	if err := Unmarshal(packet, &request); err != nil {
		return nil, err
	}
	if request.Service != serviceUserAuth {
		return packet, nil // handled as an error, as without the edit
	}
	if err := c.transport.writePacket(Marshal(&serviceAcceptMsg{Service: serviceUserAuth})); err != nil {
		return nil, err
	}
	return c.transport.readPacket()
}

// Turn returns the request's number, from 0 on, among the peer's global requests,
// channel opens, and answers to SendInTurn.
func (r *Request) Turn() uint64 { return r.turn }

// Turn returns the same for a channel that the peer has opened.
func (ch *channel) Turn() uint64 { return ch.turn }

// takeTurn returns the next turn. Only the loop calls it.
func (m *mux) takeTurn() uint64 {
	turn := m.turns
	m.turns++
	return turn
}

// takeAnswersTurn gives a turn to the oldest waiting answer to SendInTurn.
func (m *mux) takeAnswersTurn() {
	if m.answersInTurn.CompareAndSwap(true, false) {
		m.answerTurn = m.takeTurn()
	}
}

// SendInTurn is SendRequest for a request with an answer, and also returns the turn
// of the answer.
func (m *mux) SendInTurn(name string, payload []byte) (ok bool, answer []byte, turn uint64, err error) {
	m.globalSentMu.Lock()
	defer m.globalSentMu.Unlock()
	for len(m.globalResponses) > 0 { // drops answers that belong to no request
		if _, open := <-m.globalResponses; !open {
			return false, nil, 0, io.EOF
		}
	}
	m.answersInTurn.Store(true)
	m.globalSentPending.Store(true)
	defer m.globalSentPending.Store(false)
	if err := m.sendMessage(globalRequestMsg{Type: name, WantReply: true, Data: payload}); err != nil {
		return false, nil, 0, err
	}
	switch said := (<-m.globalResponses).(type) {
	case *globalRequestSuccessMsg:
		return true, said.Data, m.answerTurn, nil
	case *globalRequestFailureMsg:
		return false, said.Data, m.answerTurn, nil
	default: // the connection has ended
		return false, nil, 0, io.EOF
	}
}

// StartChannel sends what OpenChannel sends, and returns; await waits for the answer.
func (m *mux) StartChannel(kind string, extra []byte) (await func() (Channel, <-chan *Request, error), err error) {
	ch := m.newChannel(kind, channelOutbound, extra)
	if m.chanList.isClosed() {
		return nil, io.EOF
	}
	err = m.sendMessage(channelOpenMsg{
		ChanType:         kind,
		PeersWindow:      ch.myWindow,
		MaxPacketSize:    channelMaxPacket,
		TypeSpecificData: extra,
		PeersID:          ch.localId,
	})
	if err != nil {
		return nil, err
	}
	return func() (Channel, <-chan *Request, error) {
		switch answer := (<-ch.msg).(type) {
		case *channelOpenConfirmMsg:
			return ch, ch.incomingRequests, nil
		case *channelOpenFailureMsg:
			return nil, nil, &OpenChannelError{answer.Reason, answer.Message}
		case nil:
			return nil, nil, io.EOF
		default:
			return nil, nil, fmt.Errorf("ssh: unexpected answer to a channel open: %T", answer)
		}
	}, nil
}

// Over is closed when the connection has ended, which is when Wait returns.
func (m *mux) Over() <-chan struct{} { return m.over }

// restKexLoop ends the goroutine of kexLoop until there is work for it.
func (t *handshakeTransport) restKexLoop() {
	t.kexLoopRests.Store(true)
	if len(t.requestKex) > 0 || len(t.startKex) > 0 || t.getWriteError() != nil {
		t.wakeKexLoop() // the work came before the goroutine was ended
	}
}

// wakeKexLoop must be called when there is work for kexLoop: a request, the peer's
// KEXINIT, or the end of the connection.
func (t *handshakeTransport) wakeKexLoop() {
	if t.kexLoopRests.CompareAndSwap(true, false) {
		go t.kexLoop()
	}
}

// exchangeTurns can be implemented by a net.Conn. ExchangeTurn is called before a key
// exchange computes, and returns when it may; done is called when it has. If
// ExchangeTurn fails, the connection ends with that error.
type exchangeTurns interface {
	ExchangeTurn() (done func(), err error)
}

// inTurns is the packetConn of a key exchange. The exchange computes between a read
// and a write.
type inTurns struct {
	packetConn
	from exchangeTurns // nil: it may compute at any time
	done func()        // nil while it has no turn
}

func (t *handshakeTransport) turns() *inTurns {
	turns := &inTurns{packetConn: t.conn}
	if transport, ok := t.conn.(*transport); ok {
		turns.from, _ = transport.Closer.(exchangeTurns)
	}
	return turns
}

func (i *inTurns) take() (err error) {
	if i.from != nil {
		i.done, err = i.from.ExchangeTurn()
	}
	return err
}

// giveBack ends the turn, if there is one.
func (i *inTurns) giveBack() {
	if i.done != nil {
		i.done()
		i.done = nil
	}
}

func (i *inTurns) readPacket() ([]byte, error) {
	i.giveBack()
	packet, err := i.packetConn.readPacket()
	if err != nil {
		return nil, err
	}
	return packet, i.take()
}

func (i *inTurns) writePacket(packet []byte) error {
	i.giveBack()
	return i.packetConn.writePacket(packet)
}

// maxUnanswered is how many bytes of channel requests one peer may have waiting for
// an answer. The longest command that Linux runs has 128 KiB.
const maxUnanswered = 8 << 20

// requestSize is how many bytes a request counts besides its payload.
const requestSize = 256

// count counts a channel's request until it is answered (Reply), or, if it wants no
// answer, until its receiver has dropped it. It fails if too many wait.
func (m *mux) count(r *Request) error {
	size := int64(len(r.Payload) + requestSize)
	if m.unanswered.Add(size) > maxUnanswered {
		return fmt.Errorf("ssh: more than %d bytes of requests wait for an answer", maxUnanswered)
	}
	r.answered = sync.OnceFunc(func() { m.unanswered.Add(-size) })
	runtime.AddCleanup(r, func(answered func()) { answered() }, r.answered)
	return nil
}

// release stops counting the request.
func (r *Request) release() {
	if r.answered != nil {
		r.answered()
	}
}

// recognized returns the packet for its receiver. For a message that is unknown, or
// that no client may send after its login, it tells the peer so (RFC 4253 §11.4) and
// returns a packet that is ignored. Only the reading goroutine calls it.
func (t *handshakeTransport) recognized(packet []byte) ([]byte, error) {
	if !t.loggedIn.Load() {
		return packet, nil
	}
	switch number := packet[0]; {
	case number == msgUnimplemented, number == msgUserAuthRequest: // ignored without an answer
		return []byte{msgIgnore}, nil
	case number == msgIgnore, number == msgDebug, number == msgPing,
		number >= msgGlobalRequest && number <= msgRequestFailure,
		number >= msgChannelOpen && number <= msgChannelFailure:
		return packet, nil
	}
	answer := []byte{msgUnimplemented}
	if transport, ok := t.conn.(*transport); ok {
		answer = appendU32(answer, transport.reader.seqNum-1)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return []byte{msgIgnore}, t.pushPacket(answer)
}
