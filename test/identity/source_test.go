package identity

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// Keys that lie at an address of https, whose certificate is of an authority of its
// own: they are fetched beside the logins, survive the address, and are taken away
// from who is there when they are gone.
func TestKeysThatLieElsewhere(t *testing.T) {
	var answer atomic.Value
	answer.Store("")
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text := answer.Load().(string); r.URL.Path != "/guest" || text == "broken" {
			w.WriteHeader(500)
		} else {
			fmt.Fprint(w, text)
		}
	}))
	t.Cleanup(server.Close)
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	harness.Write(t, trusted, 0o644, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	t.Setenv("SSL_CERT_FILE", trusted)

	l := startLab(t, "refresh_keys: 1s")
	answer.Store(harness.PublicKey(t, l.key) + " guest@laptop\n")
	l.guest(t, "keys: ['no-agent-forwarding "+server.URL+"/guest']")
	door := l.doors(t, l.key)[1]
	harness.Eventually(t, "the key opens", func() bool { return door.Run(t, "ssh h echo in").Stdout == "in\n" })
	live := door.StartCat(t)
	live.WantLine(t, "goes on")

	answer.Store("broken")
	l.Gateway.AwaitRecord(t, "keys not fetched; those that are kept go on")
	door.Want(t, "ssh h echo in", "in\n")
	live.WantLine(t, "goes on, too")

	answer.Store("# nobody\n")
	if status := live.Wait(t); status != 255 {
		t.Errorf("who was there: exit %d", status)
	}
	if got := door.Run(t, "ssh h id"); got.Exit != 255 || !strings.Contains(got.Stderr, "Permission denied") {
		t.Errorf("without the key: %+v", got)
	}
	if log := l.Gateway.Log(t); !strings.Contains(log, `msg="keys fetched"`) || !strings.Contains(log, "removed=SHA256:") {
		t.Error("the log does not say what changed")
	}
}
