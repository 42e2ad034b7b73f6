package attack

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// The attack: an image brings the label of a host along, and whoever runs it gives
// its author the logins to that name, with their agents. Only who starts the
// container names a host.
func TestAnImageNamesNoHost(t *testing.T) {
	t.Parallel()
	harness.Need(t, "docker", "ssh", "ssh-keygen")
	evil, byHand := harness.HostName("evil"), harness.HostName("by-hand")
	image := "berth-test/" + evil
	made := harness.RunContainer(t, "--entrypoint", "sleep", harness.BaseImage(t), "infinity")
	harness.Must(t, exec.Command("docker", "commit", "--change", "LABEL berth.host="+evil, made, image))
	t.Cleanup(func() { harness.Must(t, exec.Command("docker", "rmi", "-f", image)) })
	dir := harness.OpenDir(t)
	key := harness.MakeKey(t, dir, "id")
	g := harness.StartGateway(t, dir, fmt.Sprintf("users:\n  dev: { keys: [ %s ], hosts: { %s: root, %s: root } }\n",
		harness.PublicKey(t, key), evil, byHand))
	pulled := harness.RunContainer(t, image)
	harness.RunContainer(t, "--label", "berth.host="+byHand, image)

	g.Target(t, "by-hand", "dev+"+byHand, key).Want(t, "ssh h echo in", "in\n")
	got := g.Target(t, "pulled", "dev+"+evil, key).Run(t, "ssh h echo in")
	if got.Exit != 255 || got.Stdout != "" || !strings.Contains(got.Stderr, "container "+pulled+" has its label from its image only") {
		t.Errorf("got %+v", got)
	}
}
