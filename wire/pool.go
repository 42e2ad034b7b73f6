package wire

import (
	"net"
	"sync"
)

// blockSize holds two of the largest packets that clients send.
const blockSize = 64 << 10

// Pool holds the buffers that connections share. A connection has buffers only while
// bytes wait in them, so a thousand idle connections need none. The zero Pool is
// ready for use.
type Pool struct {
	blocks sync.Pool // of *[blockSize]byte; the garbage collector empties it
}

// New returns a Conn on the connection, which it takes over.
func (p *Pool) New(conn net.Conn) *Conn { return newConn(p, conn) }

// get returns an empty block.
func (p *Pool) get() []byte {
	if block, ok := p.blocks.Get().(*[blockSize]byte); ok {
		mustBePoisoned(block)
		return block[:0]
	}
	return make([]byte, 0, blockSize)
}

// put takes a block back. The caller must not use it any more.
func (p *Pool) put(block []byte) {
	whole := (*[blockSize]byte)(block[:blockSize])
	poisoned(whole)
	p.blocks.Put(whole)
}
