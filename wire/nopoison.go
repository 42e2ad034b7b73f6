//go:build !poison

package wire

// With the tag poison, these tell who uses a block that he has given back.
func poisoned(*[blockSize]byte)       {}
func mustBePoisoned(*[blockSize]byte) {}
