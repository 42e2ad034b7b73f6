package kube

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// replaced makes host master, a pod of a StatefulSet, which is another pod of the same name
// when it has gone.
func (l lab) replaced(t *testing.T, ofPod, ofContainer string) {
	t.Helper()
	l.Apply(t, fmt.Sprintf(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: master}
spec:
  serviceName: master
  selector: {matchLabels: {app: master}}
  template:
    metadata: {labels: {app: master, berth.host: master}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: %q, imagePullPolicy: Never, %s}]
      %s
`, harness.BaseImage(t), ofContainer, ofPod))
	l.Kubectl(t, "rollout", "status", "statefulset/master", "--timeout="+harness.ClusterPatience.String())
}

const sleeps = `command: [sleep, infinity]`

// of is something of pod master-0.
func (l lab) of(t *testing.T, path string) string {
	t.Helper()
	return l.Kubectl(t, "get", "pod", "master-0", "-o", "jsonpath={"+path+"}")
}

// told is a session, and the file that it says in why it ended.
type told struct {
	*harness.Client
	file string
}

func (l lab) session(t *testing.T, host string) told {
	t.Helper()
	file := filepath.Join(t.TempDir(), "told")
	s := told{l.at(t, host).Start(t, `exec ssh h cat 2>`+file), file}
	s.WantLine(t, "hello")
	return s
}

// wantEnd wants the session to end with one of these reasons.
func (s told) wantEnd(t *testing.T, why ...string) {
	t.Helper()
	slowly(t, "the end of the session", func() bool { return harness.IsClosed(s.Ended) })
	exit, said := s.Wait(t), harness.Read(t, s.file)
	if exit != 255 || !slices.ContainsFunc(why, func(why string) bool { return strings.Contains(said, why) }) {
		t.Errorf("exit %d, told %s; want %s", exit, harness.Brief(said), strings.Join(why, " or "))
	}
}

// A pod that is replaced is another one, whatever its name, and is waited for.
func TestAPodThatGoesEndsItsSessionsWithTheReasonAndIsWaitedFor(t *testing.T) {
	t.Run("deleted", func(t *testing.T) {
		l := startLab(t, "master: root")
		l.replaced(t, "", sleeps)
		l.goes(t, func() { l.Kubectl(t, "delete", "pod", "master-0", "--wait=false") }, "master-0 was deleted")
	})
	t.Run("deleted by force", func(t *testing.T) {
		l := startLab(t, "master: root")
		l.replaced(t, "", sleeps)
		l.goes(t, func() { l.Kubectl(t, "delete", "pod", "master-0", "--force", "--grace-period=0") }, "master-0 was deleted")
	})
	t.Run("evicted by its node", func(t *testing.T) {
		l := startLab(t, "master: root")
		l.replaced(t, "volumes: [{name: small, emptyDir: {sizeLimit: 1Mi}}]", sleeps+", volumeMounts: [{name: small, mountPath: /small}]")
		l.goes(t, func() { l.at(t, "master").Run(t, `ssh h 'head -c 4000000 /dev/zero >/small/much'`) }, `Usage of EmptyDir volume "small" exceeds the limit`)
	})
}

func (l lab) goes(t *testing.T, happens func(), why string) {
	first, session := l.of(t, ".metadata.uid"), l.session(t, "master")
	happens()
	session.wantEnd(t, why)
	l.at(t, "master").Want(t, `ssh h echo again`, "again\n")
	if l.of(t, ".metadata.uid") == first {
		t.Error("it is the same pod")
	}
}

func TestAContainerThatIsKilledForWantOfMemoryEndsItsSessionsWithTheReason(t *testing.T) {
	l := startLab(t, "master: root")
	l.replaced(t, "", `resources: {limits: {memory: 96Mi}}, command: [sh, -c, "until [ -e /tmp/now ]; do sleep 0.1; done; exec tail /dev/zero"]`)
	session := l.session(t, "master")
	l.Kubectl(t, "exec", "master-0", "--", "touch", "/tmp/now")
	session.wantEnd(t, "it was killed at its limit of memory", "its command ended with code 137") // a node may miss why
	l.at(t, "master").Want(t, `ssh h echo again`, "again\n")
}

// With a namespace goes the gateway's role in it, so that it hears no more of what was there.
func TestANamespaceThatIsDeletedEndsItsSessionsWithTheReason(t *testing.T) {
	l := labWith(t, harness.NewNamespace(t), "master: root", "wait: 1s\n")
	l.Start(t, harness.Pod{Name: "master"})
	session := l.session(t, "master")
	l.Kubectl(t, "delete", "namespace", l.Name, "--wait=false")
	session.wantEnd(t, "/master was deleted")
	l.Kubectl(t, "wait", "namespace/"+l.Name, "--for=delete", "--timeout="+harness.ClusterPatience.String())
	if got := l.at(t, "master").Run(t, `ssh h true`); got.Exit != 255 || !strings.Contains(got.Stderr, `host "master" `) {
		t.Errorf("a login: exit %d, %s", got.Exit, got.Stderr)
	} else {
		t.Log(got.Stderr)
	}
}

// A pod is not drained as long as its budget forbids it, and what runs in it goes on. When it
// is evicted, people are told at once: the pod goes on for its grace period, and would end
// without a word.
func TestADrainedNodeTellsItsPeople(t *testing.T) {
	l := startLab(t, "master: root")
	l.replaced(t, "", `command: [sh, -c, "trap 'until [ -e /tmp/now ]; do sleep 0.1; done; exit' TERM; sleep infinity & wait"]`)
	l.Kubectl(t, "patch", "statefulset", "master", "-p", `{"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 600}}}}`)
	l.Kubectl(t, "rollout", "status", "statefulset/master", "--timeout="+harness.ClusterPatience.String())
	l.Kubectl(t, "create", "poddisruptionbudget", "master", "--selector=app=master", "--min-available=1")
	first, node, to := l.of(t, ".metadata.uid"), l.of(t, ".spec.nodeName"), l.at(t, "master")
	t.Cleanup(func() { l.Kubectl(t, "uncordon", node) })
	l.Kubectl(t, "cordon", node)
	session := l.session(t, "master")
	drain := []string{"drain", node, "--pod-selector=app=master"}
	if out, err := exec.Command("kubectl", append(drain, "--timeout=3s")...).CombinedOutput(); err == nil || !strings.Contains(string(out), "disruption budget") {
		t.Errorf("a drain beside a budget: %v, %s", err, out)
	}
	session.WantLine(t, "still here")
	l.Kubectl(t, "delete", "poddisruptionbudget", "master")
	draining := exec.Command("kubectl", drain...)
	if err := draining.Start(); err != nil {
		t.Fatal(err)
	}
	session.wantEnd(t, "is ending: its pod "+l.Name+"/master-0 was evicted, as when its node is drained")
	waiting := to.Start(t, `exec ssh h echo again`)
	if l.of(t, ".metadata.uid") != first {
		t.Error("it is another pod before the first one has ended")
	}
	l.Kubectl(t, "exec", "master-0", "--", "touch", "/tmp/now")
	if out, _ := io.ReadAll(waiting.Stdout); string(out) != "again\n" || waiting.Wait(t) != 0 {
		t.Errorf("who came meanwhile: %q", out)
	}
	if err := draining.Wait(); err != nil || l.of(t, ".spec.nodeName") == node {
		t.Errorf("drained: %v, and the pod is on %s", err, l.of(t, ".spec.nodeName"))
	}
	l.Kubectl(t, "exec", "master-0", "--", "touch", "/tmp/now") // the second one ends with the namespace
}

// holdKubelet kills a node's kubelet, and lets none start until release is called. The node's
// containers run on.
func holdKubelet(t *testing.T, node string) (release func()) {
	t.Helper()
	hold := filepath.Join(os.Getenv(harness.EnvKube), node, "kubelet.hold")
	harness.Write(t, hold, 0o600, "")
	release = func() { os.Remove(hold) }
	t.Cleanup(release)
	kubelet := strings.TrimSpace(harness.Read(t, filepath.Join(os.Getenv(harness.EnvKube), node, "kubelet.pid")))
	harness.Must(t, exec.Command("nsenter", "--pid", "--target", firstOf(t, node), "sh", "-c", "kill -KILL "+kubelet))
	return release
}

// firstOf is a node's first process.
func firstOf(t *testing.T, node string) string {
	t.Helper()
	return strings.TrimSpace(harness.Read(t, filepath.Join(os.Getenv(harness.EnvKube), node+".pid")))
}

func TestANodeWhoseKubeletEndsSaysSoAndIsEnteredAgain(t *testing.T) {
	l := labWith(t, harness.NewNamespace(t), "master: root", "wait: 5s\n")
	l.Start(t, harness.Pod{Name: "master", Node: "node1"})
	session, to := l.session(t, "master"), l.at(t, "master")
	release := holdKubelet(t, "node1")
	session.wantEnd(t, "it cannot be reached: ")
	if got, want := to.Run(t, `ssh h true`), `host "master" cannot be entered: its node node1 does not answer`; got.Exit != 255 || !strings.Contains(got.Stderr, want) {
		t.Errorf("a login: exit %d, %q; want %q", got.Exit, got.Stderr, want)
	}
	release()
	slowly(t, "the pod is entered again", func() bool { return to.Run(t, `ssh h echo again`).Stdout == "again\n" })
	awaitNodes(t)
}

// silenceNode has a node answer nobody any more, until release is called.
func silenceNode(t *testing.T, node string) (release func()) {
	t.Helper()
	rule := func(what string) *exec.Cmd {
		return exec.Command("nsenter", "--net", "--target", firstOf(t, node), "ip", "rule", what, "blackhole", "priority", "10")
	}
	harness.Must(t, rule("add"))
	release = sync.OnceFunc(func() { rule("del").Run() })
	t.Cleanup(release)
	return release
}

// A node that is lost is seen to be so after a while, and its pods are evicted after
// another one. What is not tied to a name runs elsewhere then.
func TestALostNodesPodsAreWaitedForElsewhere(t *testing.T) {
	if !harness.Soaking() {
		t.Skip("a cluster takes a minute to see that a node is lost: make soak, which sets " + harness.EnvSoak)
	}
	l := startLab(t, "master: root")
	l.Apply(t, fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: master}
spec:
  selector: {matchLabels: {app: master}}
  template:
    metadata: {labels: {app: master, berth.host: master}}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations: [{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 5}]
      containers: [{name: main, image: %q, imagePullPolicy: Never, command: [sleep, infinity]}]
`, harness.BaseImage(t)))
	l.Kubectl(t, "rollout", "status", "deployment/master", "--timeout="+harness.ClusterPatience.String())
	node, session, to := l.Kubectl(t, "get", "pods", "-o", "jsonpath={.items[0].spec.nodeName}"), l.session(t, "master"), l.at(t, "master")
	release, began := silenceNode(t, node), time.Now()
	got := to.Run(t, `ssh h true`)
	if got.Exit != 255 || !strings.Contains(got.Stderr, "does not answer") {
		t.Errorf("a login: exit %d, %s", got.Exit, got.Stderr)
	}
	session.wantEnd(t, "its node "+node+" does not answer", "was evicted by a taint of its node")
	t.Logf("the session ends after %.0f s: %s", time.Since(began).Seconds(), harness.Read(t, session.file))
	slowly(t, "a login elsewhere", func() bool { return to.Run(t, `ssh h echo again`).Stdout == "again\n" })
	t.Logf("entered again after %.0f s", time.Since(began).Seconds())
	release()
	awaitNodes(t)
}
