package kube

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// team is a namespace, and somebody who makes hosts there: with the rights of the example
// of a role, and no more.
type team struct {
	harness.Namespace
	dir        string
	kubeconfig string
}

func newTeam(t *testing.T) team {
	t.Helper()
	w := team{harness.NewNamespace(t, "role-provision.yaml"), t.TempDir(), ""}
	admin := harness.Read(t, os.Getenv("KUBECONFIG"))
	maker := regexp.MustCompile(`user: \{token: (\w+)\}`).ReplaceAllString(admin, fmt.Sprintf("user: {token: $1, as: maker, as-groups: [%s]}", w.Name))
	w.kubeconfig = filepath.Join(w.dir, "kubeconfig")
	harness.Write(t, w.kubeconfig, 0o600, maker)
	return w
}

// command is provision for the namespace.
func (w team) command(args ...string) *exec.Cmd {
	command := harness.PlainHome(harness.Program("provision"), append(args, "--kubeconfig", w.kubeconfig, "--namespace", w.Name)...)
	command.Dir = w.dir
	return command
}

// provision runs it; its output has what is for standard error, too.
func (w team) provision(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := w.command(args...).CombinedOutput()
	return string(out), err
}

func (w team) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := w.provision(t, args...)
	if err != nil {
		t.Fatalf("provision %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// file writes a compose file, in which IMAGE is the base image and CLASS the class of
// disks.
func (w team) file(t *testing.T, name, text string) string {
	t.Helper()
	text = strings.NewReplacer("IMAGE", harness.BaseImage(t), "CLASS", w.Name).Replace(text)
	harness.Write(t, filepath.Join(w.dir, name), 0o600, text)
	return name
}

// disk makes a volume that a claim of the class CLASS may get: a directory that both nodes
// have.
func (w team) disk(t *testing.T) {
	t.Helper()
	name := harness.HostName("disk-" + strings.ReplaceAll(harness.Mark(), ".", "-"))
	w.Apply(t, fmt.Sprintf(`apiVersion: v1
kind: PersistentVolume
metadata: {name: %s}
spec:
  storageClassName: %s
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: %s}
`, name, w.Name, t.TempDir()))
	t.Cleanup(func() { w.Kubectl(t, "delete", "pv", name, "--wait=false") })
}

// node is where a pod is, once it runs.
func (w team) node(t *testing.T, pod string) string {
	t.Helper()
	w.Await(t, pod)
	return w.Kubectl(t, "get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")
}

func (w team) uid(t *testing.T, thing string) string {
	t.Helper()
	return w.Kubectl(t, "get", thing, "-o", "jsonpath={.metadata.uid}")
}

// small makes the seed's file fit two nodes of two GPUs and few cores each.
const small = `
x-host: &host
  image: IMAGE
  command: [sleep, infinity]
  stop_grace_period: 1s
  x-berth: {cluster: {class: CLASS, storage: 1G}}
  deploy:
    resources:
      limits: {cpus: "1", memory: 256M}
      reservations:
        cpus: "0.1"
        memory: 32M
        devices: !override [{driver: nvidia, count: 2, capabilities: [gpu]}]
services:
  master: *host
  worker: *host
`

const third = `
services:
  third:
    image: IMAGE
    command: [sleep, infinity]
    stop_grace_period: 1s
    gpus: [{count: 1}]
`

func TestProvisionTheSeedsFile(t *testing.T) {
	w := newTeam(t)
	w.disk(t)
	w.disk(t)
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	seed := harness.Read(t, filepath.Join(root, "cmd", "provision", "testdata", "seed", "docker-compose.yml"))
	files := []string{"-p", "lab", "-f", w.file(t, "docker-compose.yml", seed), "-f", w.file(t, "small.yaml", small)}
	w.must(t, append([]string{"up"}, files...)...)
	if out := w.must(t, append([]string{"plan"}, files...)...); !strings.Contains(out, "\nnothing to do\n") {
		t.Errorf("again: %s", out)
	}
	if one, two := w.node(t, "lab-master-0"), w.node(t, "lab-worker-0"); one == two {
		t.Errorf("both are on %s", one)
	}
	dir := harness.OpenDir(t)
	key := harness.MakeKey(t, dir, "id")
	g := harness.StartGateway(t, dir, w.Clusters()+fmt.Sprintf("users:\n  dev: { keys: [ %s ], hosts: { master: root, worker: root, third: root } }\n", harness.PublicKey(t, key)))
	l := lab{w.Namespace, g, key}
	for _, host := range []string{"master", "worker"} {
		l.at(t, host).Want(t, `ssh h 'hostname; echo bytes of $(hostname) >/opt/bytes'`, "lab-"+host+"-0\n")
		got := l.at(t, host).Run(t, `ssh h 'tr "\0" "\n" </proc/1/environ | grep -c -e GPU-node -e ^ROOT_PASSWORD=; df -m /dev/shm | tail -1'`)
		if !strings.HasPrefix(got.Stdout, "2\n") || !strings.Contains(got.Stdout, " 128 ") {
			t.Errorf("%s: its GPUs, its variables and its shm: %q, %s", host, got.Stdout, got.Stderr)
		}
	}

	more := append(files, "-f", w.file(t, "third.yaml", third))
	out, err := w.provision(t, append([]string{"up"}, more...)...)
	for _, said := range []string{"third: waits for a node: ", "Insufficient nvidia.com/gpu", "nvidia.com/gpu: held by host master of project lab (2, node", "host worker of project lab (2, node"} {
		if err == nil || !strings.Contains(out, said) {
			t.Errorf("%v; no %q in\n%s", err, said, out)
		}
	}
	first := w.uid(t, "pod/lab-third-0")
	w.must(t, "stop", "worker", "--yes", "-p", "lab")
	w.Await(t, "lab-third-0")
	l.at(t, "third").Want(t, `ssh h echo runs`, "runs\n")
	if w.uid(t, "pod/lab-third-0") != first {
		t.Error("it was made again")
	}
	if out := w.must(t, append([]string{"ps"}, more...)...); !regexp.MustCompile(`worker +exec +- +lab-worker-0 +- +stopped `).MatchString(out) {
		t.Errorf("ps:\n%s", out)
	}
	w.must(t, "down", "third", "--yes", "-p", "lab")
	w.must(t, append([]string{"up"}, files...)...)
	l.at(t, "worker").Want(t, `ssh h cat /opt/bytes`, "bytes of lab-worker-0\n")
}

// Killed in the middle of an up that changes each of several hosts, the next one does the
// rest.
func TestProvisionIsKilledAndGoesOn(t *testing.T) {
	w := newTeam(t)
	file := func(word string) string {
		host := `{image: IMAGE, command: [sleep, infinity], stop_grace_period: 1s, environment: {WORD: ` + word + `}}`
		return w.file(t, "compose.yaml", "name: lab\nservices: {a: "+host+", b: "+host+", c: "+host+"}\n")
	}
	file("one")
	up := w.command("up")
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the first host", func() bool { return w.Kubectl(t, "get", "statefulsets", "-o", "name") != "" })
	up.Process.Kill()
	up.Wait()
	w.must(t, "up")
	file("two")
	up = w.command("up", "--yes")
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the second word", func() bool { return strings.Contains(w.Kubectl(t, "get", "secrets", "-o", "name"), "lab-a-2") })
	up.Process.Kill()
	up.Wait()
	w.must(t, "up", "--yes")
	for _, host := range []string{"a", "b", "c"} {
		if got := w.Kubectl(t, "exec", "lab-"+host+"-0", "--", "printenv", "WORD"); strings.TrimSpace(got) != "two" {
			t.Errorf("%s has %s", host, got)
		}
	}
	if out := w.must(t, "plan"); out != "nothing to do\n" {
		t.Errorf("and then: %s", out)
	}
	if secrets := w.Kubectl(t, "get", "secrets", "-l", "berth.project=lab", "-o", "name"); strings.Count(secrets, "\n") != 3 {
		t.Errorf("left behind: %s", secrets)
	}
}

// Who is on a host keeps it, and is asked about.
func TestProvisionKeepsAPodThatSomebodyIsOn(t *testing.T) {
	w := newTeam(t)
	file := func(memory string) {
		w.file(t, "compose.yaml", "name: lab\nservices: {master: {image: IMAGE, command: [sleep, infinity], stop_grace_period: 1s, mem_limit: "+memory+"}}\n")
	}
	file("64m")
	w.must(t, "up")
	first := w.uid(t, "pod/lab-master-0")
	dir := harness.OpenDir(t)
	key := harness.MakeKey(t, dir, "id")
	g := harness.StartGateway(t, dir, w.Clusters()+fmt.Sprintf("users:\n  dev: { keys: [ %s ], hosts: { master: root } }\n", harness.PublicKey(t, key)))
	l, m, told := lab{w.Namespace, g, key}, harness.Mark(), filepath.Join(dir, "told")
	session := l.at(t, "master").Start(t, `exec ssh -tt h 'sleep `+m+`' >`+told)
	slowly(t, "the session", func() bool { return has(l.processes(t, "lab-master-0"), "sleep "+m) > 0 })
	file("96m")
	out, err := w.provision(t, "up", "--yes")
	if err == nil || !strings.Contains(out, "kept as it is: pod lab-master-0, though limits.memory: 64MiB → 96MiB: dev; --force recreates it") {
		t.Errorf("%v\n%s", err, out)
	}
	if out := w.must(t, "ps"); !regexp.MustCompile(`lab-master-0 +node\d +running .* dev\n`).MatchString(out) {
		t.Errorf("ps:\n%s", out)
	}
	out, err = w.provision(t, "stop")
	if err == nil || !strings.Contains(out, "master: dev") || !strings.Contains(out, "say --yes") || w.uid(t, "pod/lab-master-0") != first {
		t.Errorf("unasked: %v\n%s", err, out)
	}
	w.must(t, "up", "--yes", "--force")
	session.Wait(t)
	w.Await(t, "lab-master-0")
	if w.uid(t, "pod/lab-master-0") == first {
		t.Error("it is the same pod")
	}
	w.must(t, "down", "--yes")
	if left := w.Kubectl(t, "get", "statefulsets,pods,secrets", "-l", "berth.project", "-o", "name"); left != "" {
		t.Errorf("left: %s", left)
	}
}

// What the API server does not change of a StatefulSet is made again, and the volume stays.
func TestProvisionMakesAStatefulSetAgainAndKeepsItsVolume(t *testing.T) {
	w := newTeam(t)
	w.disk(t)
	w.file(t, "compose.yaml", "name: lab\nservices: {master: {image: IMAGE, command: [sleep, infinity], stop_grace_period: 1s, volumes: ['data:/data'], x-berth: {cluster: {class: CLASS, storage: 1G}}}}\nvolumes: {data: }\n")
	w.must(t, "up")
	w.Kubectl(t, "exec", "lab-master-0", "--", "sh", "-c", "echo kept >/data/bytes")
	older := w.Kubectl(t, "get", "statefulset", "lab-master", "-o", "json")
	w.Kubectl(t, "delete", "statefulset", "lab-master")
	w.Apply(t, strings.Replace(older, `"podManagementPolicy": "Parallel"`, `"podManagementPolicy": "OrderedReady"`, 1))
	out := w.must(t, "up", "--yes")
	if !strings.Contains(out, "recreate  statefulset lab-master  podManagementPolicy of the StatefulSet, which is recreated for it") {
		t.Errorf("%s", out)
	}
	if got := w.Kubectl(t, "exec", "lab-master-0", "--", "cat", "/data/bytes"); got != "kept\n" {
		t.Errorf("its volume: %q", got)
	}
	w.must(t, "stop", "master", "--yes")
	if pods := w.Kubectl(t, "get", "pods", "-o", "name"); pods != "" {
		t.Errorf("stopped: %s", pods)
	}
	w.must(t, "start", "master")
	w.Await(t, "lab-master-0")
	first := w.uid(t, "pod/lab-master-0")
	w.must(t, "restart", "master", "--yes")
	slowly(t, "another pod", func() bool { return w.Kubectl(t, "get", "pod", "-o", "jsonpath={.items[*].metadata.uid}") != first })
	w.must(t, "up")
	if got := w.Kubectl(t, "exec", "lab-master-0", "--", "cat", "/data/bytes"); got != "kept\n" {
		t.Errorf("its volume after stop, start and restart: %q", got)
	}
	w.must(t, "down", "--yes", "--volumes")
	if left := w.Kubectl(t, "get", "pvc", "-o", "name"); left != "" {
		t.Errorf("left: %s", left)
	}
}

// Nodes say by labels which GPUs they have.
func TestProvisionFindsNodesByTheirGPUs(t *testing.T) {
	w := newTeam(t)
	for node, has := range map[string][]string{"node1": {"nvidia.com/gpu.product=NVIDIA-ONE", "nvidia.com/gpu.memory=81920"}, "node2": {"nvidia.com/gpu.product=NVIDIA-TWO", "nvidia.com/gpu.memory=24576"}} {
		w.Kubectl(t, append([]string{"label", "node", node}, has...)...)
		t.Cleanup(func() { w.Kubectl(t, "label", "node", node, "nvidia.com/gpu.product-", "nvidia.com/gpu.memory-") })
	}
	host := func(gpu string) string {
		return "{image: IMAGE, command: [sleep, infinity], stop_grace_period: 1s, x-berth: {gpu: {" + gpu + "}}}"
	}
	w.file(t, "compose.yaml", "name: lab\nservices:\n  two: "+host("model: NVIDIA-TWO")+"\n  large: "+host("memory: 80G")+"\n")
	w.must(t, "up")
	if two, large := w.node(t, "lab-two-0"), w.node(t, "lab-large-0"); two != "node2" || large != "node1" {
		t.Errorf("two is on %s, large on %s", two, large)
	}
	w.file(t, "none.yaml", "name: none\nservices: {none: "+host("model: NVIDIA-NONE")+"}\n")
	out, err := w.provision(t, "up", "-f", "none.yaml")
	if err == nil || !strings.Contains(out, "none: waits for a node: 0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.; it asks for a node with nvidia.com/gpu.product=NVIDIA-NONE") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestProvisionSaysWhyAHostDoesNotComeUp(t *testing.T) {
	w := newTeam(t)
	w.file(t, "compose.yaml", `
name: lab
services:
  crash: {image: IMAGE, command: [sh, -c, "echo no such model >&2; exit 3"], stop_grace_period: 1s}
  none: {image: "registry.invalid/none:1", stop_grace_period: 1s}
`)
	out, err := w.provision(t, "up")
	for _, said := range []string{"crash: its command ended with code 3: no such model\n", `none: cannot start: ImagePullBackOff: `} {
		if err == nil || !strings.Contains(out, said) {
			t.Errorf("%v; no %q in\n%s", err, said, out)
		}
	}
	w.Apply(t, "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: few}\nspec: {hard: {pods: '2'}}\n")
	w.Kubectl(t, "wait", "resourcequota/few", "--for=jsonpath={.status.used.pods}=2", "--timeout="+harness.ClusterPatience.String())
	w.file(t, "more.yaml", "name: more\nservices: {toomany: {image: IMAGE, stop_grace_period: 1s}}\n")
	out, err = w.provision(t, "up", "-f", "more.yaml")
	if err == nil || !strings.Contains(out, "toomany: its pod cannot be made: ") || !strings.Contains(out, "exceeded quota") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestProvisionMayDoNothingOutsideItsNamespace(t *testing.T) {
	w := newTeam(t)
	w.file(t, "compose.yaml", "name: lab\nservices: {master: {image: IMAGE}}\n")
	out, err := exec.Command(harness.Program("provision"), "up", "-f", filepath.Join(w.dir, "compose.yaml"), "--kubeconfig", w.kubeconfig, "--namespace", "default").CombinedOutput()
	if err == nil || !strings.Contains(string(out), `in the namespace "default"; configs/kubernetes/role-provision.yaml has what provision needs`) {
		t.Errorf("%v\n%s", err, out)
	}
}
