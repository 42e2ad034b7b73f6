package gateway

import (
	"slices"

	"github.com/berth-ssh/berth/wire"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"
)

// ciphersFor is what a client is offered. Its order would decide (RFC 4253
// §7.1), and OpenSSH's prefers AES-CTR, whose MAC takes a third of all time,
// to AES-GCM. So who offers AES-GCM both ways is offered nothing else. Who has none of
// ours is offered chacha20-poly1305, which costs more here.
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

// hasAES says whether the processor has instructions for AES.
func hasAES() bool { return cpu.X86.HasAES || cpu.ARM64.HasAES }
