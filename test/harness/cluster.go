package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// EnvKube names the directory of the cluster that scripts/setup-kube starts.
const EnvKube = "BERTH_KUBE"

// ClusterPatience is how long anything in a cluster may take. Its programs wait for
// up to a minute before they ask again an API server that was down.
const ClusterPatience = 3 * time.Minute

// HasCluster reports whether there is a cluster for tests.
func HasCluster() bool { return os.Getenv(EnvKube) != "" }

// NeedCluster skips a test if there is no cluster.
func NeedCluster(t *testing.T) {
	t.Helper()
	if !HasCluster() {
		t.Skip("no cluster here: run make test-kube")
	}
}

// Namespace is a namespace that belongs to a test, with the rights of a gateway
// there.
type Namespace struct {
	Name       string
	Kubeconfig string // for a gateway outside of the cluster, made by the commands of docs/kubernetes.md
}

// NewNamespace creates a namespace, which is removed when the test ends, and applies
// these files of configs/kubernetes in it.
func NewNamespace(t *testing.T, roles ...string) Namespace {
	t.Helper()
	n := MakeNamespace(t)
	n.Kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	for _, role := range append([]string{"role.yaml"}, roles...) {
		n.Apply(t, strings.ReplaceAll(Read(t, example(t, role)), "team-a", n.Name))
	}
	n.Kubectl(t, "wait", "secret/berth-gateway", "--for=jsonpath={.data.token}", "--timeout="+ClusterPatience.String())
	made := n.Kubectl(t, "get", "secret", "berth-gateway", "-o", "go-template-file="+example(t, "kubeconfig.tmpl"))
	Write(t, n.Kubeconfig, 0o600, strings.Replace(made, "SERVER", "https://"+APIServer(t), 1))
	return n
}

// APIServer returns the address of the cluster's API server, host:port.
func APIServer(t *testing.T) string {
	t.Helper()
	server := kubectl(t, "", "config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
	return strings.TrimPrefix(server, "https://")
}

// Behind returns the namespace with another address of the API server, of a program
// that forwards to it.
func (n Namespace) Behind(t *testing.T, address string) Namespace {
	t.Helper()
	host, _, err := net.SplitHostPort(APIServer(t))
	if err != nil {
		t.Fatal(err)
	}
	return n.by(t, `server: "[^"]*"`, `server: "https://`+address+`", tls-server-name: "`+host+`"`)
}

// BehindProxy returns the namespace as it is reached through a proxy, which has a
// certificate of its own.
func (n Namespace) BehindProxy(t *testing.T, p *APIProxy) Namespace {
	t.Helper()
	return n.by(t, `cluster: \{[^}]*\}`, `cluster: {server: "`+p.URL()+`", certificate-authority-data: "`+p.Authority()+`"}`)
}

// by returns the namespace with a copy of its kubeconfig in which one text is
// replaced.
func (n Namespace) by(t *testing.T, place, instead string) Namespace {
	t.Helper()
	text := regexp.MustCompile(place).ReplaceAllLiteralString(Read(t, n.Kubeconfig), instead)
	n.Kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	Write(t, n.Kubeconfig, 0o600, text)
	return n
}

// MakeNamespace creates an empty namespace, which is removed when the test ends.
func MakeNamespace(t *testing.T) Namespace {
	t.Helper()
	NeedCluster(t)
	n := Namespace{Name: HostName(strings.ReplaceAll(Mark(), ".", "-"))}
	kubectl(t, "", "create", "namespace", n.Name)
	t.Cleanup(func() { kubectl(t, "", "delete", "namespace", n.Name, "--wait=false", "--ignore-not-found") })
	return n
}

func example(t *testing.T, name string) string {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "configs", "kubernetes", name)
}

// Kubectl runs kubectl in the namespace, as the cluster's administrator.
func (n Namespace) Kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return kubectl(t, "", append([]string{"-n", n.Name}, args...)...)
}

// Apply creates the objects that a text describes.
func (n Namespace) Apply(t *testing.T, text string) {
	t.Helper()
	kubectl(t, text, "-n", n.Name, "apply", "-f", "-")
}

func kubectl(t *testing.T, in string, args ...string) string {
	t.Helper()
	command := exec.Command("kubectl", args...)
	command.Stdin = strings.NewReader(in)
	return Must(t, command)
}

// Pod describes a pod to be created.
type Pod struct {
	Name    string
	Node    string   // node1 or node2; "": the scheduler chooses
	Image   string   // of ImportImage; "": the base image
	Labels  string   // besides berth.host, which is the pod's name
	Command []string // nil: sleep; empty: the image's own
	More    string   // more keys of its container, such as securityContext: {runAsUser: 1000}
}

// Make creates a pod. It does not wait until the pod runs.
func (n Namespace) Make(t *testing.T, p Pod) {
	t.Helper()
	n.Apply(t, p.text(t))
}

// Start creates a pod, and waits until it runs.
func (n Namespace) Start(t *testing.T, p Pod) {
	t.Helper()
	n.Make(t, p)
	n.Await(t, p.Name)
}

// Await waits until a pod runs.
func (n Namespace) Await(t *testing.T, pod string) {
	t.Helper()
	n.Kubectl(t, "wait", "pod/"+pod, "--for=condition=Ready", "--timeout="+ClusterPatience.String())
}

// Kill kills the first process of a pod's container, as the kernel does when memory
// is short.
func (n Namespace) Kill(t *testing.T, pod string) {
	t.Helper()
	is := strings.Fields(n.Kubectl(t, "get", "pod", pod, "-o", "jsonpath={.spec.nodeName} {.status.containerStatuses[0].containerID}"))
	ctr(t, is[0], "tasks", "kill", "--signal", "SIGKILL", strings.TrimPrefix(is[1], "containerd://"))
}

func (p Pod) text(t *testing.T) string {
	t.Helper()
	if p.Image == "" {
		p.Image = BaseImage(t)
	}
	if p.Command == nil {
		p.Command = []string{"sleep", "infinity"}
	}
	command := ""
	if len(p.Command) > 0 {
		command = fmt.Sprintf("      command: [%s]\n", quoted(p.Command))
	}
	if p.More != "" {
		p.More = "      " + p.More + "\n"
	}
	if p.Labels != "" {
		p.Labels = ", " + p.Labels
	}
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %[1]s, labels: {berth.host: %[1]s%[2]s}}
spec:
  nodeSelector: {%[3]s}
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: %[4]s
      imagePullPolicy: Never
%[5]s%[6]s`, p.Name, p.Labels, selector(p.Node), p.Image, command, p.More)
}

func selector(node string) string {
	if node == "" {
		return ""
	}
	return "kubernetes.io/hostname: " + node
}

func quoted(words []string) string {
	var all []string
	for _, word := range words {
		all = append(all, fmt.Sprintf("%q", word))
	}
	return strings.Join(all, ", ")
}

// Clusters returns the part of gateway.yaml about the cluster, which is called lab.
func (n Namespace) Clusters() string {
	return fmt.Sprintf("docker: none\nclusters:\n  lab: { kubeconfig: %s, namespaces: [ %s ] }\n", n.Kubeconfig, n.Name)
}

// ImportImage copies an image of the engine to both nodes, and returns its name
// there.
func ImportImage(t *testing.T, image string) string {
	t.Helper()
	id := strings.TrimSpace(Must(t, exec.Command("docker", "inspect", "-f", "{{.Id}}", image)))
	name := "berth-test-pods:" + strings.TrimPrefix(id, "sha256:")[:12]
	var file string
	for _, node := range []string{"node1", "node2"} {
		if strings.Contains(ctr(t, node, "images", "ls", "-q"), "docker.io/library/"+name) {
			continue
		}
		if file == "" {
			file = filepath.Join(t.TempDir(), "image.tar")
			Must(t, exec.Command("docker", "tag", image, name))
			Must(t, exec.Command("docker", "save", "-o", file, name))
			Must(t, exec.Command("docker", "rmi", name))
		}
		ctr(t, node, "images", "import", file)
	}
	return name
}

func ctr(t *testing.T, node string, args ...string) string {
	t.Helper()
	socket := filepath.Join(os.Getenv(EnvKube), node, "containerd.sock")
	return Must(t, exec.Command("ctr", append([]string{"-a", socket, "-n", "k8s.io"}, args...)...))
}

// StartPods starts pods with a container's image on both nodes, and returns doors to
// them by route exec, as developer.
func StartPods(t *testing.T, c Container) []Target {
	t.Helper()
	n := NewNamespace(t)
	image := ImportImage(t, c.Image(t))
	for _, node := range []string{"node1", "node2"} {
		n.Start(t, Pod{Name: "on-" + node, Node: node, Image: image})
	}
	dir := OpenDir(t)
	key := MakeKey(t, dir, "id")
	g := StartGateway(t, dir, n.Clusters()+fmt.Sprintf("users:\n  dev: { keys: [ %s ], hosts: { 'box:lab': developer } }\n", PublicKey(t, key)))
	return []Target{g.Target(t, "node1", "dev+on-node1", key), g.Target(t, "node2", "dev+on-node2", key)}
}
