package attack

import (
	"fmt"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// start starts a gateway that dev may enter, with its log read by a shell
// command; "" is a reader that reads all.
func start(t *testing.T, reader string) (*harness.Gateway, harness.Target) {
	t.Helper()
	harness.Need(t, "bash", "ssh-keygen")
	dir := t.TempDir()
	key := harness.MakeKey(t, dir, "id")
	by := harness.PlainHome
	if reader != "" {
		by = func(program string, args ...string) *exec.Cmd {
			script := `exec "$@" 2> >(` + reader + `)`
			return harness.PlainHome("bash", append([]string{"-c", script, "bash", program}, args...)...)
		}
	}
	g := harness.StartGatewayBy(t, dir, fmt.Sprintf("users: { dev: { keys: [ %s ], hosts: { here: } } }\nhosts: { here: { route: local } }\n",
		harness.PublicKey(t, key)), by)
	return g, g.Target(t, "local", "dev+here", key)
}

// The attack: nobody reads the gateway's log. 600 logins filled the pipe, then
// nobody came in any more and SIGTERM ended nothing. A reader that was gone ended
// the gateway.
func TestWhoReadsTheLogStopsNothing(t *testing.T) {
	for name, reader := range map[string]string{
		"a_reader_that_stops": "sed /msg=serving/q; exec sleep 60",
		"a_reader_that_goes":  "sed /msg=serving/q",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, to := start(t, reader)
			logIn := func() {
				raw, err := net.Dial("tcp", to.Address)
				if err != nil {
					t.Error(err)
					return
				}
				defer raw.Close()
				raw.SetDeadline(time.Now().Add(harness.Patience))
				client, err := to.LogIn(t, raw)
				if err != nil {
					t.Errorf("nobody comes in: %v", err)
					return
				}
				defer client.Close()
				if _, err := client.NewSession(); err != nil {
					t.Errorf("nobody comes in: %v", err)
				}
			}
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					for range 60 { // about a KiB of log each
						if logIn(); t.Failed() {
							return
						}
					}
				})
			}
			all.Wait()
			g.Signal(syscall.SIGTERM)
			g.AwaitEnd(t)
		})
	}
}

// The attack: a user logs in and never leaves, and the gateway waits for it; or
// somebody closes the terminal that the gateway was started from.
func TestSignalsEndTheGateway(t *testing.T) {
	t.Parallel()
	g, to := start(t, "")
	session := to.StartCat(t)
	g.Signal(syscall.SIGHUP)
	g.AwaitRecord(t, "reloaded")
	session.WantLine(t, "still there")
	g.Signal(syscall.SIGTERM)
	g.AwaitRecord(t, "stopping")
	session.WantLine(t, "still there")
	began := time.Now()
	g.Signal(syscall.SIGTERM)
	if code := g.AwaitEnd(t); code != 1 || time.Since(began) > time.Second {
		t.Errorf("a second SIGTERM: status %d after %v", code, time.Since(began))
	}
}
