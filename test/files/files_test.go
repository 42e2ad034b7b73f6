package files

import (
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestDoors(t *testing.T) {
	harness.AtEveryDoor(t, harness.Subject{Name: "files", Ask: func(t *testing.T, to harness.Target) {
		to.Scripts(t, "testdata/*.txtar")
	}})
}
