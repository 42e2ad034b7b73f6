package kube

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// people is a gateway that enters pods in the names of dev, eve and bob, and may enter none
// in its own.
type people struct {
	lab
	keys map[string]string
}

func startPeople(t *testing.T) people {
	t.Helper()
	n, dir := harness.NewNamespace(t, "role-impersonate.yaml"), harness.OpenDir(t)
	t.Cleanup(func() {
		harness.Must(t, exec.Command("kubectl", "delete", "clusterrole,clusterrolebinding", "berth-gateway-"+n.Name))
	})
	n.Kubectl(t, "patch", "role", "berth-gateway", "--type=json", "-p", `[{"op": "remove", "path": "/rules/1"}]`)
	p := people{keys: map[string]string{}}
	config := strings.Replace(n.Clusters(), "namespaces:", `impersonate: "{user}", namespaces:`, 1) + "users:\n"
	for _, name := range []string{"dev", "eve", "bob"} {
		p.keys[name] = harness.MakeKey(t, dir, name)
		config += fmt.Sprintf("  %s: { keys: [ %s ], hosts: { master: root } }\n", name, harness.PublicKey(t, p.keys[name]))
	}
	p.lab = lab{Namespace: n, Gateway: harness.StartGateway(t, dir, config)}
	return p
}

// as is host master for one of them.
func (p people) as(t *testing.T, name string) harness.Target {
	t.Helper()
	return p.Target(t, name+"-"+harness.Mark(), name+"+master", p.keys[name])
}

// isToldOnly wants somebody to be refused, sooner or later: the API server learns of a role a
// moment after it is changed.
func (p people) isToldOnly(t *testing.T, name, why string) {
	t.Helper()
	slowly(t, name+" is told: "+why, func() bool {
		got := p.as(t, name).Run(t, `ssh h true`)
		return got.Exit == 255 && strings.Contains(got.Stderr, why)
	})
}

// The attack: who may not enter a pod comes by the exec of somebody who may. Each person has
// an exec of their own, and is asked about at each login.
func TestTheClusterDecidesWhoEntersWhereTheGatewayImpersonates(t *testing.T) {
	p := startPeople(t)
	p.Start(t, harness.Pod{Name: "master"})
	dev := p.as(t, "dev").StartCat(t)
	denied := fmt.Sprintf(`cluster lab does not let eve run commands in pod %s/master (create pods/exec)`, p.Name)
	p.isToldOnly(t, "eve", denied)
	p.isToldOnly(t, "bob", `cluster lab does not say whether bob may: users "bob" is forbidden: `)
	p.Kubectl(t, "create", "rolebinding", "eve", "--role=enter-pods", "--user=eve")
	slowly(t, "eve enters", func() bool { return p.as(t, "eve").Run(t, `ssh h echo in`).Stdout == "in\n" })
	if helpers := has(p.processes(t, "master"), "helper run"); helpers != 2 {
		t.Errorf("%d execs of two people", helpers)
	}
	p.Kubectl(t, "delete", "rolebinding", "eve")
	p.isToldOnly(t, "eve", denied)
	dev.WantLine(t, "still here")
}
