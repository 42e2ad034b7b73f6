package gateway

import (
	"slices"

	"github.com/berth-ssh/berth/wire"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"
)

// ciphersFor returns the ciphers that a client is offered. A client that offers
// AES-GCM in both directions is offered only that: its own order would decide (RFC
// 4253 §7.1), OpenSSH prefers AES-CTR, and the MAC of that takes a third of all time.
// A client that has none of ours is also offered chacha20-poly1305, which costs more
// here.
func ciphersFor(hello wire.Hello, ours []string) []string {
	fast := []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM}
	both := func(cipher string) bool {
		return slices.Contains(hello.ToServer, cipher) && slices.Contains(hello.ToClient, cipher)
	}
	switch {
	case hasAES() && slices.ContainsFunc(fast, both):
		return fast
	case len(hello.ToServer) > 0 && !slices.ContainsFunc(ours, both):
		return append(slices.Clone(ours), ssh.CipherChaCha20Poly1305)
	default:
		return ours
	}
}

// hasAES reports whether the processor has instructions for AES.
func hasAES() bool { return cpu.X86.HasAES || cpu.ARM64.HasAES }
