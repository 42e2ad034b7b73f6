package kube

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// lab is a gateway that may do in a namespace what the example of a role says, and no
// more.
type lab struct {
	harness.Namespace
	*harness.Gateway
	key string
}

// startLab starts a gateway for dev, who is granted these hosts.
func startLab(t *testing.T, grants string, roles ...string) lab {
	t.Helper()
	return labIn(t, harness.NewNamespace(t, roles...), grants)
}

// labIn is startLab in a namespace that is there.
func labIn(t *testing.T, n harness.Namespace, grants string) lab {
	t.Helper()
	return labWith(t, n, grants, "")
}

// labWith is labIn with more lines of gateway.yaml.
func labWith(t *testing.T, n harness.Namespace, grants, more string) lab {
	t.Helper()
	dir := harness.OpenDir(t)
	key := harness.MakeKey(t, dir, "id")
	g := harness.StartGateway(t, dir, n.Clusters()+more+fmt.Sprintf("users:\n  dev: { keys: [ %s ], hosts: { %s } }\n", harness.PublicKey(t, key), grants))
	return lab{n, g, key}
}

func (l lab) at(t *testing.T, host string) harness.Target {
	t.Helper()
	return l.Target(t, host+"-"+harness.Mark(), "dev+"+host, l.key)
}

// processes are the command lines of a pod's processes.
func (l lab) processes(t *testing.T, pod string) []string {
	t.Helper()
	const list = `for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline && echo; done 2>/dev/null; true`
	return strings.Split(l.Kubectl(t, "exec", pod, "--", "sh", "-c", list), "\n")
}

// has counts the processes whose command lines have a word.
func has(processes []string, word string) (count int) {
	for _, line := range processes {
		if strings.Contains(line, word) {
			count++
		}
	}
	return count
}

// A helper that is root for a moment would be the whole container's.
func TestAnExecChoosesNoAccountAndTheHelperDropsToIt(t *testing.T) {
	l := startLab(t, "as-dev: dev, as-none: ghost, other: root, own: ''")
	for _, pod := range []string{"as-dev", "as-none"} {
		l.Start(t, harness.Pod{Name: pod, Command: []string{"sh", "-c", "useradd -m -s /bin/sh -G audio dev; exec sleep infinity"}})
	}
	for _, pod := range []string{"other", "own"} {
		l.Start(t, harness.Pod{Name: pod, More: "securityContext: {runAsUser: 1234}"})
	}
	const who = `ssh h 'id -un; id -Gn; echo $HOME; grep CapEff /proc/self/status; echo "${SECRET_PASSWORD-none}"'`
	l.at(t, "as-dev").Want(t, who, "dev\ndev audio\n/home/dev\nCapEff:\t0000000000000000\nnone\n")
	l.at(t, "own").Want(t, `ssh h id -u`, "1234\n")
	for pod, why := range map[string]string{
		"as-none": `host "as-none" has no account ghost`,
		"other":   `host "other" is only entered as 1234: an exec in it chooses no account, and only root could become root`,
	} {
		if got := l.at(t, pod).Run(t, `ssh h true`); got.Exit != 255 || !strings.Contains(got.Stderr, why) {
			t.Errorf("%s: exit %d, %s", pod, got.Exit, got.Stderr)
		}
	}
}

func TestAllSessionsOfAnAccountAreOneExec(t *testing.T) {
	l := startLab(t, "master: root")
	l.Start(t, harness.Pod{Name: "master"})
	m, to := harness.Mark(), l.at(t, "master")
	for range 5 {
		to.Start(t, "exec ssh h 'sleep "+m+"'")
	}
	slowly(t, "five sessions", func() bool { return has(l.processes(t, "master"), "sleep "+m) >= 5 })
	if helpers := has(l.processes(t, "master"), "helper run"); helpers != 1 {
		t.Errorf("%d helpers", helpers)
	}
}

// A process outlives the exec that it was started by, so the helper has to know when
// nobody is there any more.
func TestProcessesEndWithTheirGateway(t *testing.T) {
	l := startLab(t, "master: root")
	l.Start(t, harness.Pod{Name: "master"})
	m := harness.Mark()
	l.at(t, "master").Start(t, "exec ssh -tt h 'sleep "+m+"'")
	slowly(t, "the session", func() bool { return has(l.processes(t, "master"), "sleep "+m) > 0 })
	l.Signal(syscall.SIGKILL)
	harness.AwaitEnd(t, "the gateway", l.Ended)
	slowly(t, "the end of all of it", func() bool {
		now := l.processes(t, "master")
		return has(now, "sleep "+m)+has(now, "helper run") == 0
	})
}

// What a command wrote last is cut off where the exec ends with it.
func TestOutputIsWholeWhenItsCommandEnds(t *testing.T) {
	l := startLab(t, "master: root")
	l.Start(t, harness.Pod{Name: "master"})
	to := l.at(t, "master")
	for range 10 {
		to.Want(t, `cmp <(seq 300000) <(ssh h seq 300000) && echo same`, "same\n")
	}
}

func TestExitsAndSignalsComeInside(t *testing.T) {
	l := startLab(t, "master: root")
	l.Start(t, harness.Pod{Name: "master"})
	to := l.at(t, "master")
	to.Want(t, `for code in 0 1 42 255; do ssh h exit $code; echo $?; done`, "0\n1\n42\n255\n")
	if got := to.Run(t, `ssh -v h 'kill -KILL $$' 2>&1 | grep -o 'exit-signal'`); !strings.Contains(got.Stdout, "exit-signal") {
		t.Errorf("a signal: %q", got.Stdout)
	}
}

// The cluster's own streams share one reader, which waits for who does not read.
func TestAStalledStreamStopsNoOther(t *testing.T) {
	l := startLab(t, "master: root")
	l.Start(t, harness.Pod{Name: "master"})
	m, to := harness.Mark(), l.at(t, "master")
	to.Start(t, "exec ssh h 'sleep "+m+"' </dev/zero")       // nobody there reads
	to.Start(t, "ssh h 'cat /dev/zero; : "+m+"' | sleep "+m) // nobody here reads
	slowly(t, "both", func() bool { return has(l.processes(t, "master"), m) >= 2 })
	to.Want(t, `head -c 20000000 /dev/urandom >sent && ssh h cat <sent | cmp - sent && echo same`, "same\n")
}

func TestPodsAreFollowedThroughARestartOfTheAPIServer(t *testing.T) {
	l := startLab(t, "master: root, later: root")
	l.Start(t, harness.Pod{Name: "master", Node: "node1"})
	to := l.at(t, "master")
	to.Want(t, `ssh h echo before`, "before\n")
	m, told := harness.Mark(), filepath.Join(t.TempDir(), "told")
	session := to.Start(t, `exec ssh h "sleep `+m+`" 2>`+told)
	slowly(t, "the session", func() bool { return has(l.processes(t, "master"), "sleep "+m) > 0 })
	release := holdAPIServer(t)
	if status := session.Wait(t); status != 255 || !strings.Contains(harness.Read(t, told), "through its cluster's API server") {
		t.Errorf("exit %d, told %s", status, harness.Brief(harness.Read(t, told)))
	}
	waiting := to.Start(t, `exec ssh h echo again`)
	l.AwaitRecord(t, "logged in")
	release()
	if out, _ := io.ReadAll(waiting.Stdout); string(out) != "again\n" || waiting.Wait(t) != 0 {
		t.Errorf("who came meanwhile: %q", out)
	}
	awaitAPIServer(t)
	awaitNodes(t)
	l.Start(t, harness.Pod{Name: "later"})
	l.at(t, "later").Want(t, `ssh h echo later`, "later\n")
}

func TestAPodThatFindsNoGPUSaysSoAndRunsWhenThereIsOne(t *testing.T) {
	l := startLab(t, "a: root, b: root, c: root")
	const both = `resources: {limits: {nvidia.com/gpu: 2}}`
	l.Start(t, harness.Pod{Name: "a", More: both})
	l.Start(t, harness.Pod{Name: "b", More: both})
	if node := func(pod string) string { return l.Kubectl(t, "get", "pod", pod, "-o", "jsonpath={.spec.nodeName}") }; node("a") == node("b") {
		t.Errorf("both are on %s", node("a"))
	}
	got := l.at(t, "a").Run(t, `ssh h 'tr "\0" "\n" </proc/1/environ | grep NVIDIA_VISIBLE'`)
	if !strings.Contains(got.Stdout, "GPU-node") {
		t.Errorf("its GPUs: %q, %s", got.Stdout, got.Stderr)
	}
	l.Make(t, harness.Pod{Name: "c", More: both})
	slowly(t, "the scheduler's word", func() bool {
		got := l.at(t, "c").Run(t, `ssh h true`)
		return got.Exit == 255 && strings.Contains(got.Stderr, `host "c" waits for a node: `) && strings.Contains(got.Stderr, "Insufficient nvidia.com/gpu")
	})
	l.Kubectl(t, "delete", "pod", "a")
	l.Await(t, "c")
	l.at(t, "c").Want(t, `ssh h echo runs`, "runs\n")
}

func TestTheRoleIsOfOneNamespaceAndOfPodsAlone(t *testing.T) {
	n := harness.NewNamespace(t)
	may := func(what string) bool {
		args := append([]string{"--kubeconfig", n.Kubeconfig, "auth", "can-i"}, strings.Fields(what)...)
		out, _ := exec.Command("kubectl", args...).Output() // it fails where it says no
		return strings.TrimSpace(string(out)) == "yes"
	}
	for _, granted := range []string{"get pods", "list pods", "watch pods", "get pods --subresource=exec", "create pods --subresource=exec"} {
		if !may(granted) {
			t.Errorf("it may not %s", granted)
		}
	}
	for _, refused := range []string{"list pods -n default", "list pods -A", "create pods", "delete pods", "get secrets", "get pods --subresource=log",
		"create pods --subresource=portforward", "get nodes", "get nodes --subresource=proxy", "create serviceaccounts --subresource=token"} {
		if may(refused) {
			t.Errorf("it may %s", refused)
		}
	}
}

func TestAClusterThatRefusesTheGatewaySaysSo(t *testing.T) {
	n := harness.NewNamespace(t)
	n.Start(t, harness.Pod{Name: "master"})
	n.Kubectl(t, "delete", "rolebinding", "berth-gateway")
	slowly(t, "the API server refuses", func() bool {
		return exec.Command("kubectl", "--kubeconfig", n.Kubeconfig, "get", "pods").Run() != nil
	})
	got := labIn(t, n, "master.lab: root").at(t, "master.lab").Run(t, `ssh h true`)
	if want := `host "master.lab" cannot be looked up: cluster lab refuses the gateway since `; got.Exit != 255 || !strings.Contains(got.Stderr, want) {
		t.Errorf("exit %d, %q; want %q", got.Exit, got.Stderr, want)
	}
}

// Pods of node1 are reached by their addresses from here, and those of node2 are not.
func TestSshdOfAPodIsReachedByItsAddressOrByPortForward(t *testing.T) {
	l := startLab(t, "near: developer, far: developer", "role-forward.yaml")
	image := harness.ImportImage(t, harness.StartContainer(t).Image(t))
	ca := harness.PublicKey(t, filepath.Join(harness.StateOf(l.Dir), "user_ca"))
	for pod, node := range map[string]string{"near": "node1", "far": "node2"} {
		l.Start(t, harness.Pod{Name: pod, Node: node, Image: image, Labels: "berth.route: sshd", Command: []string{},
			More: fmt.Sprintf("env: [{name: BERTH_USER_CA, value: %q}]", ca)})
		l.at(t, pod).Want(t, `ssh h 'id -un; exit 0'; ssh h 'exit 7'; echo $?`, "developer\n7\n")
		l.at(t, pod).Want(t, `head -c 5000000 /dev/urandom >sent && ssh h cat <sent | cmp - sent && echo same`, "same\n")
		session := l.session(t, pod)
		l.Kubectl(t, "delete", "pod", pod, "--wait=false")
		session.wantEnd(t, "/"+pod+" was deleted")
	}
}

func TestSelftestPassesOnBothNodes(t *testing.T) {
	l := startLab(t, "first: developer, second: developer")
	image := harness.ImportImage(t, harness.StartContainer(t).Image(t))
	for pod, node := range map[string]string{"first": "node1", "second": "node2"} {
		l.Start(t, harness.Pod{Name: pod, Node: node, Image: image})
		command := harness.PlainHome(harness.Program("gateway"), "selftest", "--quick", "--config", filepath.Join(l.Dir, "gateway.yaml"), pod)
		if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), " 0 failed") {
			t.Errorf("%s: %v\n%s", node, err, out)
		}
	}
}
