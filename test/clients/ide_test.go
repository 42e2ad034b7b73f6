package clients

import (
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// TestIDEs does what editors do that work in a host from afar. In most of it a
// stand-in takes the place of their own server, and all else is as they do it; one
// has VS Code's own server.
func TestIDEs(t *testing.T) {
	m := startMatrix(t)
	for _, to := range m.targets {
		t.Run("vscode/"+to.Name, func(t *testing.T) { vscode(t, to.Target) })
		t.Run("jetbrains/"+to.Name, func(t *testing.T) { m.jetbrains(t, to) })
		t.Run("open-remote-ssh/"+to.Name, func(t *testing.T) { m.openRemote(t, to) })
	}
	t.Run("vscode-server", m.vscodeServer)
	t.Run("jupyter", m.jupyter)
}

// TestIDEsInPods starts VS Code's way on both nodes of a cluster, where there is one.
func TestIDEsInPods(t *testing.T) {
	harness.NeedCluster(t)
	for _, to := range harness.StartPods(t, harness.StartContainer(t)) {
		t.Run("vscode/"+to.Name, func(t *testing.T) { vscode(t, to) })
	}
}

// onlyWithAll skips what only make clients can afford.
func onlyWithAll(t *testing.T) {
	t.Helper()
	if !harness.EveryClient() {
		t.Skip("only in make clients, which sets " + harness.EnvClients + "=all")
	}
}
