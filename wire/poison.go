//go:build poison

package wire

import "bytes"

// poison is what fills a block from when it is given back until it is taken again. Who
// reads it meanwhile has wrong bytes.
const poison = 0xdb

func poisoned(block *[blockSize]byte) {
	block[0] = poison
	for filled := 1; filled < len(block); filled *= 2 {
		copy(block[filled:], block[:filled])
	}
}

// mustBePoisoned panics if somebody wrote to a block that he had given back, or it was
// given back twice.
func mustBePoisoned(block *[blockSize]byte) {
	if bytes.Count(block[:], []byte{poison}) < len(block) {
		panic("wire: a block was used when it had been given back")
	}
}
