package gpu

import (
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/engine"
)

func TestMain(m *testing.M) { harness.Main(m) }

// A GPU is handed out once: two hosts get one each, and a third is refused and
// told who has them, until they are gone.
func TestGPUsAreHandedOutOnce(t *testing.T) {
	b := engine.NewGPUBox(t, 2)
	const one = ", gpus: [{count: 1}]"
	pair := b.Compose("pair", "master: "+one, "worker: "+one)
	harness.Must(t, b.Provision("up", "-f", pair, "-p", "pair"))
	held := b.Holders("pair")
	if len(held) != 2 {
		t.Fatalf("two hosts, and these GPUs held: %v", held)
	}
	for uuid, names := range held {
		if len(names) != 1 {
			t.Errorf("%s is held by %v", uuid, names)
		}
	}
	third := b.Compose("third", "third: "+one)
	out, err := b.Provision("up", "-f", third, "-p", "third").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "host master of project pair holds GPU-") {
		t.Errorf("a third host: %v\n%s", err, out)
	}
	harness.Must(t, b.Provision("down", "-p", "pair"))
	harness.Must(t, b.Provision("up", "-f", third, "-p", "third"))
	if held := b.Holders(""); len(held) != 1 {
		t.Errorf("the third host alone, and these GPUs held: %v", held)
	}
}
