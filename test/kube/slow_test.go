package kube

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// TestSlowLink sends much both ways and runs many short commands in a pod whose API server
// is behind a slow link: no byte and no exit code is lost. make soak does so with 1 GiB and
// 1,000 commands, and with kubectl exec beside it, which takes a connection for each command.
func TestSlowLink(t *testing.T) {
	n := harness.NewNamespace(t).Behind(t, harness.Far().Start(t, harness.APIServer(t)))
	n.Start(t, harness.Pod{Name: "master"})
	to := labIn(t, n, "master: root").at(t, "master")
	way := to.BySSH()
	way.Took(t, "the first login", "run true", "")
	way.Took(t, "one login", "run true", "")
	way.SendMuch(t, harness.Load(16, 1024))
	way.RunMany(t, harness.Load(40, 1000))
	if harness.Soaking() {
		kubectl := fmt.Sprintf(`kubectl --kubeconfig %s -n %s exec -i master -- sh -c "$1" 2>>%s`, n.Kubeconfig, n.Name, filepath.Join(t.TempDir(), "said"))
		beside := harness.Way{Target: to, Name: "kubectl exec", Run: kubectl, MayLose: true}
		beside.SendMuch(t, 1024)
		beside.RunMany(t, 100)
	}
}
