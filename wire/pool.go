package wire

import (
	"net"
	"sync"
)

// blockSize holds two of the largest packets that clients send.
const blockSize = 64 << 10

// Pool holds the buffers that connections share. A connection has some while
// bytes wait in them and none while it is idle, so that a thousand idle
// connections cost no more buffers than one. The zero Pool is ready for use.
type Pool struct {
	blocks sync.Pool // of *[blockSize]byte; the garbage collector empties it
}

// New takes the connection over.
func (p *Pool) New(conn net.Conn) *Conn { return newConn(p, conn) }

// get returns an empty block.
func (p *Pool) get() []byte {
	if block, ok := p.blocks.Get().(*[blockSize]byte); ok {
		return block[:0]
	}
	return make([]byte, 0, blockSize)
}

// put takes a block back, of which nothing may be read any more.
func (p *Pool) put(block []byte) {
	p.blocks.Put((*[blockSize]byte)(block[:blockSize]))
}
