package gateway

import (
	"slices"
	"testing"

	"github.com/berth-ssh/berth/wire"

	"golang.org/x/crypto/ssh"
)

func TestTheFastCipherIsForWhoOffersIt(t *testing.T) {
	if !hasAES() {
		t.Skip("the processor has no instructions for AES")
	}
	ours := algorithms().Ciphers
	fast := []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM}
	openSSH := []string{"chacha20-poly1305@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com"}
	for _, c := range []struct {
		name               string
		toServer, toClient []string
		want               []string
	}{
		{"OpenSSH", openSSH, openSSH, fast},
		{"only the larger key", []string{"aes256-gcm@openssh.com"}, []string{"aes256-gcm@openssh.com"}, fast},
		{"asked for AES-CTR", []string{"aes128-ctr"}, []string{"aes128-ctr"}, ours},
		{"one direction", openSSH, []string{"aes128-ctr"}, ours},
		{"another each way", []string{"aes128-ctr", "aes128-gcm@openssh.com"}, []string{"aes128-ctr", "aes256-gcm@openssh.com"}, ours},
		{"not heard", nil, nil, ours},
		{"nothing of ours", openSSH[:1], openSSH[:1], append(slices.Clone(ours), openSSH[0])},
	} {
		if got := ciphersFor(wire.Hello{ToServer: c.toServer, ToClient: c.toClient}, ours); !slices.Equal(got, c.want) {
			t.Errorf("%s: offered %v, want %v", c.name, got, c.want)
		}
	}
}
