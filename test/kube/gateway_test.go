package kube

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/test/harness"
)

// gate is a gateway that runs in the cluster, made by the commands of docs/kubernetes.md.
type gate struct {
	harness.Namespace        // the gateway's own
	dir               string // the copy of configs/kubernetes
	service           *service
	dev               harness.Target // who is granted host master
}

// ofThisCluster is what the cluster of the tests is without: an address of its API server
// for pods, and the admission that gives each pod the token of its account.
const ofThisCluster = `
  - target: {kind: Deployment, name: berth-gateway}
    patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: berth-gateway}
      spec:
        template:
          spec:
            containers:
              - name: gateway
                env: [{name: KUBERNETES_SERVICE_HOST, value: %q}, {name: KUBERNETES_SERVICE_PORT, value: %q}]
                volumeMounts: [{name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}]
            volumes:
              - name: token
                projected:
                  sources:
                    - serviceAccountToken: {path: token}
                    - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
                    - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
`

// startGate makes a gateway in the cluster, and waits until both replicas are ready. The
// API server refuses what is not as restricted as pods can be.
func startGate(t *testing.T) gate {
	t.Helper()
	g := gate{Namespace: harness.MakeNamespace(t), dir: filepath.Join(t.TempDir(), "kubernetes")}
	team := harness.MakeNamespace(t)
	team.Start(t, harness.Pod{Name: "master"})
	g.Kubectl(t, "label", "namespace", g.Name, "pod-security.kubernetes.io/enforce=restricted")
	dir := harness.OpenDir(t)
	key := harness.MakeKey(t, dir, "id")
	g.write(t, team.Name, gatewayImage(t), fmt.Sprintf("  dev: { keys: [ %s ], hosts: { master: root } }\n", harness.PublicKey(t, key)))
	secret := exec.Command(harness.Program("gateway"), "keys", "secret", "--new")
	create := exec.Command("kubectl", "-n", g.Name, "create", "-f", "-")
	create.Stdin = strings.NewReader(harness.Must(t, secret))
	harness.Must(t, create)
	harness.Must(t, exec.Command("kubectl", "apply", "-k", g.dir))
	g.rolledOut(t)
	g.service = startService(t, g.Namespace, "berth-gateway")
	slowly(t, "two endpoints", func() bool { return len(g.service.endpoints()) == 2 })
	g.dev = harness.NewTarget(t, dir, "gate", harness.Door{Address: g.service.Address, Login: "dev+master", Key: key, KnownHosts: g.knownHosts(t, g.service.Address)})
	return g
}

// write makes the directory as somebody does who follows the manual: the namespaces, the
// image, and who may enter what.
func (g gate) write(t *testing.T, team, image, users string) {
	t.Helper()
	root, err := harness.Root()
	if err == nil {
		err = os.CopyFS(g.dir, os.DirFS(filepath.Join(root, "configs", "kubernetes")))
	}
	if err != nil {
		t.Fatal(err)
	}
	name, tag, _ := strings.Cut(image, ":")
	server := harness.Must(t, exec.Command("kubectl", "config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"))
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(server, "https://"))
	chosen := strings.NewReplacer("team-a", team, "berth-system", g.Name, "registry.example.com/berth-gateway", name, `newTag: "1"`, fmt.Sprintf("newTag: %q", tag))
	for _, file := range []string{"kustomization.yaml", "role.yaml", "deployment.yaml", "gateway.yaml"} {
		path := filepath.Join(g.dir, file)
		harness.Write(t, path, 0o600, chosen.Replace(harness.Read(t, path)))
	}
	file := filepath.Join(g.dir, "kustomization.yaml")
	harness.Write(t, file, 0o600, harness.Read(t, file)+strings.TrimPrefix(fmt.Sprintf(ofThisCluster, host, port), "\n"))
	g.permit(t, users)
}

// permit adds to users: of the gateway's configuration.
func (g gate) permit(t *testing.T, users string) {
	t.Helper()
	file := filepath.Join(g.dir, "gateway.yaml")
	harness.Write(t, file, 0o600, harness.Read(t, file)+users)
}

// knownHosts is a file with the gateway's keys for an address of this machine.
func (g gate) knownHosts(t *testing.T, address string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	lines := g.Kubectl(t, "exec", "deployment/berth-gateway", "--", "berth-gateway", "keys", "--known-hosts", host)
	file := filepath.Join(t.TempDir(), "known_hosts")
	harness.Write(t, file, 0o600, strings.ReplaceAll(lines, "]:2222 ", "]:"+port+" "))
	return file
}

func (g gate) rolledOut(t *testing.T) {
	t.Helper()
	g.Kubectl(t, "rollout", "status", "deployment/berth-gateway", "--timeout="+harness.ClusterPatience.String())
}

// gatewayImage is the gateway's own image, on both nodes.
func gatewayImage(t *testing.T) string {
	t.Helper()
	bin, image := t.TempDir(), "berth-test/gateway:"+harness.Mark()
	harness.Must(t, exec.Command("cp", harness.Program("gateway"), filepath.Join(bin, "berth-gateway")))
	harness.Must(t, exec.Command("docker", "build", "-q", "-t", image, "-f", "../../packaging/Dockerfile", bin))
	t.Cleanup(func() { exec.Command("docker", "rmi", "-f", image).Run() })
	return harness.ImportImage(t, image)
}

// held is a session that answers as long as it lives.
type held struct {
	client  *ssh.Client
	session *ssh.Session
	in      io.Writer
	out     *bufio.Reader
	told    bytes.Buffer // on standard error; to be read when session has ended
	pod     string       // the replica that it is on
}

func (g gate) hold(t *testing.T) *held {
	t.Helper()
	client, err := g.dev.Dial(t)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	h := &held{client: client, pod: g.service.last()}
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := session.StdoutPipe()
	h.in, _ = session.StdinPipe()
	h.session, h.out, session.Stderr = session, bufio.NewReader(out), &h.told
	if err := session.Start("cat"); err != nil {
		t.Fatal(err)
	}
	h.mustAnswer(t)
	return h
}

func (h *held) answers() bool {
	fmt.Fprintln(h.in, "still here")
	line, err := h.out.ReadString('\n')
	return err == nil && line == "still here\n"
}

func (h *held) mustAnswer(t *testing.T) {
	t.Helper()
	harness.Within(t, "an answer through "+h.pod, func() {
		if !h.answers() {
			err := h.session.Wait()
			t.Errorf("the session on %s is cut: %v, %s", h.pod, err, h.told.String())
		}
	})
}

// onBoth are a session on each replica.
func (g gate) onBoth(t *testing.T) [2]*held {
	t.Helper()
	both := [2]*held{g.hold(t), g.hold(t)}
	if both[0].pod == both[1].pod {
		t.Fatalf("both are on %s", both[0].pod)
	}
	return both
}

func TestTheGatewayRunsInTheCluster(t *testing.T) {
	g := startGate(t)
	t.Run("two replicas are one gateway", g.testReplicas)
	t.Run("a change of the configuration", g.testChange)
	t.Run("an upgrade refuses nobody and cuts nobody", g.testUpgrade)
	t.Run("a replica is killed", g.testKilled)
}

func (g gate) testReplicas(t *testing.T) {
	replicas := g.service.endpoints()
	if replicas[0].node == replicas[1].node {
		t.Errorf("both are on %s", replicas[0].node)
	}
	var shown []string
	for _, replica := range replicas {
		_, port, _ := net.SplitHostPort(replica.door(t))
		lines := strings.Split(harness.Must(t, exec.Command("ssh-keyscan", "-p", port, "-t", "ed25519,ecdsa,rsa", "127.0.0.1")), "\n")
		slices.Sort(lines)
		shown = append(shown, strings.ReplaceAll(strings.Join(lines, "\n"), port, "PORT"))
	}
	if shown[0] != shown[1] || strings.Count(shown[0], "\n") != 3 {
		t.Errorf("host keys:\n%s\nand\n%s", shown[0], shown[1])
	}
	g.onBoth(t)
	for range 2 {
		g.dev.Want(t, `ssh h 'hostname; exit 0'; echo copied >f && scp -q f h:/tmp/f && ssh h cat /tmp/f; ssh h exit 7; echo $?`, "master\ncopied\n7\n")
	}
	if told := g.Kubectl(t, "exec", "deployment/berth-gateway", "--", "berth-gateway", "check"); !strings.Contains(told, "ok, 1 user, ") || !strings.Contains(told, "route exec, container ") {
		t.Errorf("check: %s", told)
	}
}

// A Secret that is changed reaches the pods that run.
func (g gate) testChange(t *testing.T) {
	other := harness.MakeKey(t, t.TempDir(), "other")
	g.permit(t, fmt.Sprintf("  eve: { keys: [ %s ], hosts: { master: root } }\n", harness.PublicKey(t, other)))
	both := g.onBoth(t)
	harness.Must(t, exec.Command("kubectl", "apply", "-k", g.dir))
	eve := harness.Door{Login: "eve+master", Key: other}
	for _, replica := range g.service.endpoints() {
		there := g.at(t, eve, replica)
		slowly(t, "eve's login to "+replica.pod, func() bool { return there.isLetIn(t) })
	}
	for _, on := range both {
		on.mustAnswer(t)
	}
}

// person is one who logs in to one replica.
type person struct{ harness.Target }

func (g gate) at(t *testing.T, who harness.Door, replica endpoint) person {
	t.Helper()
	who.Address = replica.door(t)
	who.KnownHosts = g.knownHosts(t, who.Address)
	return person{harness.Target{Door: who}}
}

func (p person) isLetIn(t *testing.T) bool {
	client, err := p.Dial(t)
	if err != nil {
		return false
	}
	client.Close()
	return true
}

// slowly waits for what takes a cluster its time.
func slowly(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(harness.ClusterPatience); !done(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", harness.ClusterPatience, what)
		}
	}
}

// The second upgrade takes longer than a gateway gives its connections by itself, and than
// a cluster gives a pod.
func (g gate) testUpgrade(t *testing.T) {
	both, stop := g.onBoth(t), g.stream(t)
	for range 2 {
		g.upgrade(t)
	}
	came, pods := stop()
	t.Logf("%d connections, to %d replicas", came, pods)
	if pods != 6 {
		t.Errorf("%d replicas were reached, not the two of before and the four of after", pods)
	}
	for _, on := range both {
		on.mustAnswer(t)
		on.client.Close()
		g.Kubectl(t, "wait", "pod/"+on.pod, "--for=delete", "--timeout="+harness.ClusterPatience.String()) // long before its grace
	}
}

// upgrade replaces the replicas, and waits until the former ones let nobody in any more.
// Each must do so for a while after the Service gives it nobody: not every node knows that
// at once.
func (g gate) upgrade(t *testing.T) {
	former, lets := g.service.endpoints(), map[endpoint]person{}
	for _, replica := range former {
		lets[replica] = g.at(t, g.dev.Door, replica)
	}
	g.Kubectl(t, "rollout", "restart", "deployment/berth-gateway")
	slowly(t, "the former ones are out of the Service", func() bool {
		for replica, person := range lets {
			if slices.Contains(g.service.endpoints(), replica) {
				continue
			}
			if !person.isLetIn(t) {
				t.Errorf("%s lets nobody in as soon as it is out of the Service", replica.pod)
			}
			delete(lets, replica)
		}
		return len(lets) == 0
	})
	g.rolledOut(t)
	for _, replica := range former {
		slowly(t, replica.pod+" lets nobody in", replica.isClosed)
	}
}

// stream connects again and again; whoever is refused fails the test. stop says how many
// came, to how many replicas.
func (g gate) stream(t *testing.T) (stop func() (came, pods int)) {
	t.Helper()
	ended, pods := make(chan struct{}), map[string]bool{}
	var mu sync.Mutex
	var all sync.WaitGroup
	came := 0
	connect := func() {
		client, err := g.dev.Dial(t)
		if err != nil {
			t.Errorf("refused: %v", err)
			return
		}
		defer client.Close()
		session, err := client.NewSession()
		if err != nil {
			t.Errorf("no session: %v", err)
			return
		}
		if out, err := session.Output("hostname"); err != nil || string(out) != "master\n" {
			t.Errorf("cut: %q, %v", out, err)
		}
		mu.Lock()
		came++
		mu.Unlock()
	}
	all.Go(func() {
		for pace := time.NewTicker(200 * time.Millisecond); ; {
			select {
			case <-ended:
				return
			case <-pace.C:
				all.Go(connect)
			}
		}
	})
	first := len(g.service.passed())
	end := sync.OnceFunc(func() {
		close(ended)
		all.Wait()
	})
	t.Cleanup(end)
	return func() (int, int) {
		end()
		for _, pod := range g.service.passed()[first:] {
			pods[pod] = true
		}
		return came, len(pods)
	}
}

// The other one goes on, and the one that was killed comes back with the state that it
// left.
func (g gate) testKilled(t *testing.T) {
	both, replicas := g.onBoth(t), map[string]person{}
	for _, replica := range g.service.endpoints() {
		replicas[replica.pod] = g.at(t, g.dev.Door, replica)
	}
	g.Kill(t, both[0].pod)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		both[0].client.Wait()
	}()
	slowly(t, "the end of the session on the one that is killed", func() bool { return harness.IsClosed(killed) })
	both[1].mustAnswer(t)
	if !replicas[both[1].pod].isLetIn(t) {
		t.Error("the other one lets nobody in")
	}
	slowly(t, "the one that was killed lets people in", func() bool { return replicas[both[0].pod].isLetIn(t) })
	slowly(t, "two endpoints", func() bool { return len(g.service.endpoints()) == 2 })
	both[1].mustAnswer(t)
	g.onBoth(t)
}
