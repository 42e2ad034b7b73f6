package gateway

import (
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/machine"

	"golang.org/x/crypto/ssh"
)

// A refusal says why the host ended. The reason is asked for once, not at each retry.
func TestARefusalSaysWhyTheHostEnded(t *testing.T) {
	var asked atomic.Int32
	from := atMachine(nil)
	from.open = func(hosts.Host, string) (hosts.Entrance, error) {
		return hosts.Entrance{}, &hosts.Unreachable{Host: "lab", Why: "is not running (exited)", Patience: 600 * time.Millisecond, Details: func(context.Context) string {
			asked.Add(1)
			return "its command ended with code 3: no such file"
		}}
	}
	g := startGateway(t, from)
	got := runs(t, g.enter(t, "dev+lab"), "x")
	if want := (said{"", "berth: host \"lab\" is not running (exited): its command ended with code 3: no such file\n", 255}); got != want || asked.Load() != 1 {
		t.Errorf("asked %d times, got %+v, want %+v", asked.Load(), got, want)
	}
}

// People who were on a host when it ended are told why, by both mechanisms: only
// once, and only at a terminal, where no program takes it for output.
func TestPeopleAreToldOnceWhyTheirHostEnded(t *testing.T) {
	began := time.Now()
	silent := func(machine.Command, io.Reader, io.Writer, io.Writer) int { return 0 }
	for name, from := range map[string]*fakeHosts{
		"be": {open: func(hosts.Host, string) (hosts.Entrance, error) {
			return hosts.Entrance{Machine: newFakeMachine(silent)}, nil
		}},
		"join": sshdOf(t, &fakeSshd{serve: runsCommands, accept: func(ssh.ConnMetadata, ssh.PublicKey) error { return nil }}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			var asked sync.Mutex // the gateway calls it in several goroutines
			why := "its command ended with code 3"
			before := hosts.Before{Ended: began.Add(-time.Hour), Since: began, Why: func(context.Context) string {
				asked.Lock()
				defer asked.Unlock()
				return why
			}}
			ends := func(because string) {
				asked.Lock()
				defer asked.Unlock()
				before.Ended, why = time.Now(), because
			}
			open := from.open
			from.open = func(host hosts.Host, account string) (hosts.Entrance, error) {
				in, err := open(host, account)
				asked.Lock()
				defer asked.Unlock()
				in.Before = before
				return in, err
			}
			g := startGateway(t, from)
			tells := func(want string) {
				t.Helper()
				if got := runsAtTerminal(t, g.enter(t, "dev+lab"), "x"); got.err != want {
					t.Errorf("told %q, want %q", got.err, want)
				}
			}
			line := "berth: host \"lab\" was started again at " + began.Local().Format("15:04 on 2 January") + ": "
			tells("") // it ended before anybody came
			ends("its command ended with code 3")
			if got := runs(t, g.enter(t, "dev+lab"), "x"); strings.Contains(got.err, "started again") {
				t.Errorf("a program is told %q", got.err)
			}
			tells(line + "its command ended with code 3\r\n")
			tells("")
			ends("")
			tells(line + "nobody knows any more why it had ended\r\n")
		})
	}
}
