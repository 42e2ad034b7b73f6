//go:build !poison

package ssh

// With the tag poison, these tell who uses a buffer that he has given back.
func poisoned(*[bufferSize]byte)       {}
func mustBePoisoned(*[bufferSize]byte) {}
