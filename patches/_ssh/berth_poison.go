//go:build poison

package ssh

import "bytes"

// poison is what fills a buffer from when it is given back until it is taken again. Who
// reads it meanwhile has wrong bytes.
const poison = 0xdb

func poisoned(buffer *[bufferSize]byte) {
	buffer[0] = poison
	for filled := 1; filled < len(buffer); filled *= 2 {
		copy(buffer[filled:], buffer[:filled])
	}
}

// mustBePoisoned panics if somebody wrote to a buffer that he had given back, or it was
// given back twice.
func mustBePoisoned(buffer *[bufferSize]byte) {
	if bytes.Count(buffer[:], []byte{poison}) < len(buffer) {
		panic("ssh: a buffer was used when it had been given back")
	}
}
