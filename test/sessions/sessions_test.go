package sessions

import (
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestDoors(t *testing.T) {
	harness.AtEveryDoor(t,
		harness.Subject{Name: "processes", Ask: processes},
		harness.Subject{Name: "terminals", Ask: terminals},
		harness.Subject{Name: "multiplexing", Ask: multiplexing},
	)
}

// multiplexing is many sessions on one connection.
func multiplexing(t *testing.T, to harness.Target) { to.Scripts(t, "testdata/*.txtar") }
