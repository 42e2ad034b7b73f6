package load

import (
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// TestMachine asks much of the doors of this machine, and TestContainer of
// route exec; make soak asks for much more.
func TestMachine(t *testing.T) { loads(t, harness.StartMachine(t).Doors()) }

func TestContainer(t *testing.T) { loads(t, harness.StartContainer(t).Targets(t)[2:]) }

func loads(t *testing.T, doors []harness.Target) {
	harness.Need(t, "ssh-agent", "ssh-add")
	for _, to := range doors {
		t.Run(to.Name+"/slow_readers", func(t *testing.T) {
			for range harness.Load(1, 13) {
				to.Script(t, "testdata/slow-readers.txtar")
			}
		})
		t.Run(to.Name+"/sixty_sessions_on_one_connection", func(t *testing.T) { to.Script(t, "testdata/sixty-sessions.txtar") })
		t.Run(to.Name+"/eight_users_of_the_agent", func(t *testing.T) { to.Script(t, "testdata/agent-users.txtar") })
		t.Run(to.Name+"/eight_gigabytes_by_one_scp", func(t *testing.T) { hugeCopy(t, to) })
	}
}

func hugeCopy(t *testing.T, to harness.Target) {
	if !harness.Soaking() {
		t.Skip("only in make soak, which sets " + harness.EnvSoak)
	}
	to.Script(t, "testdata/huge-copy.txtar")
}
