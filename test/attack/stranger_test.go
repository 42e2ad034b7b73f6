package attack

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// Who loses the place to others from the same address, before keys are exchanged, is
// told why by OpenSSH's client, in the gateway's words.
func TestOpenSSHSaysWhyItsPlaceIsLost(t *testing.T) {
	t.Parallel()
	harness.Need(t, "bash")
	_, to := start(t, "")
	unheard := to.With(t, t.TempDir(), "unheard", `ProxyCommand bash -c 'exec cat 3<&0 <>/dev/tcp/%h/%p'`) // hears, and is not heard
	client := unheard.Command(t.TempDir(), "exec ssh h true")
	said, ended := "", make(chan struct{})
	go func() {
		defer close(ended)
		out, err := client.CombinedOutput()
		said = fmt.Sprintf("%s%v", out, err)
	}()
	harness.Eventually(t, "the client loses its place", func() bool {
		other, err := net.Dial("tcp", to.Address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { other.Close() })
		return harness.IsClosed(ended)
	})
	if !strings.Contains(said, "berth: too many connections that are not logged in; try again in a moment") || !strings.Contains(said, "exit status 255") {
		t.Errorf("it says %q", said)
	}
}
