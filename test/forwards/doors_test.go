package forwards

import (
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestDoors(t *testing.T) {
	harness.AtEveryDoor(t,
		harness.Subject{Name: "forwards", Ask: forwards},
		harness.Subject{Name: "order", Ask: order},
		harness.Subject{Name: "jump", Ask: jump},
		harness.Subject{Name: "x11", Ask: x11},
	)
}
