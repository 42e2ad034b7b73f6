package test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// nobody is an ordinary user who may talk to the engine, as a gateway may run.
const nobody = "nobody"

// TestWays enters containers from every place where a gateway may stand: what
// happens in there is handed out as descriptors where they can cross, and is
// the same where they cannot.
func TestWays(t *testing.T) {
	c := startContainer(t)
	ground := waysGround{c, openDir(t)}
	t.Run("root_and_a_mount", func(t *testing.T) { ground.try(t, way{mounted: true, by: plainHome, crosses: true}) })
	t.Run("root_and_no_mount", func(t *testing.T) { ground.try(t, way{by: plainHome, crosses: true}) })
	t.Run("ordinary_user_and_a_mount", func(t *testing.T) { ground.try(t, way{mounted: true, by: asNobody(t), crosses: true}) })
	t.Run("ordinary_user_and_no_mount", func(t *testing.T) { ground.try(t, way{by: asNobody(t)}) })
	t.Run("container_and_a_mount", func(t *testing.T) {
		ground.try(t, way{mounted: true, by: ground.inContainer(t), crosses: true, contained: true})
	})
	t.Run("container_and_no_mount", func(t *testing.T) { ground.try(t, way{by: ground.inContainer(t), contained: true}) })
	t.Run("engine_behind_tls", func(t *testing.T) {
		certificates, address := startTLSEngine(t)
		ground.try(t, way{docker: "tcp://" + address, whole: true, by: withEnv("DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH="+certificates)})
	})
	t.Run("engine_behind_ssh", func(t *testing.T) {
		sshd := startMachine(t).sshd
		ground.try(t, way{docker: "ssh://h", by: withEnv("PATH=" + sshd.clients + ":" + os.Getenv("PATH"))})
	})
}

// way is where a gateway stands.
type way struct {
	docker  string // its engine, if not the usual one
	mounted bool   // the gateway's helper directory is in the container
	by      func(program string, args ...string) *exec.Cmd
	crosses bool // descriptors do
	whole   bool // all of the suite is tried

	contained bool // the gateway is in a container itself
}

type waysGround struct {
	container
	dir string
}

func (w waysGround) try(t *testing.T, way way) {
	dir := openDir(t)
	must(t, exec.Command("cp", "-p", program("gateway"), dir))
	helperDir := filepath.Join(stateOf(dir), "helper")
	must(t, exec.Command("install", "-d", "-m", "0700", stateOf(dir)))
	must(t, exec.Command("install", "-d", "-m", "0755", helperDir))
	args := []string{"--label", "berth.host=way", "--entrypoint", "sleep"}
	if way.mounted {
		args = append(args, "-v", helperDir+":/usr/lib/berth:ro")
	}
	name := runContainer(t, append(args, w.image(t), "infinity")...)
	key := makeKey(t, dir, "id")
	config := fmt.Sprintf(`
users:
  dev: { keys: [ %s ], hosts: { lab: developer } }
hosts:
  lab: { route: exec, container: %s }
`, publicKey(t, key), name)
	if way.docker != "" {
		config += "docker: " + way.docker + "\n"
	}
	g := startGatewayBy(t, dir, config, way.by)
	to := g.target(t, "exec", "dev+lab", key)
	if way.whole {
		suite(t, []target{to})
		g.passesSelftest(t, way)
	} else {
		to.essentials(t)
	}
	by := "by=streams"
	if way.crosses {
		by = "by=descriptors"
	}
	if log := g.log(t); !strings.Contains(log, by) {
		t.Errorf("the log does not say %s", by)
	}
	if !way.contained {
		g.isMissedByNobody(t, to, name)
	}
}

// passesSelftest runs the selftest from where the gateway runs.
func (g *gateway) passesSelftest(t *testing.T, way way) {
	t.Helper()
	command := way.by(program("gateway"))
	command.Args = append(command.Args, "selftest", "--quick", "--config", filepath.Join(g.dir, "gateway.yaml"), "lab")
	if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), " 0 failed") {
		t.Errorf("selftest: %v\n%s", err, out)
	}
}

// isMissedByNobody kills the gateway: what its sessions held must go, and the
// helper with it.
func (g *gateway) isMissedByNobody(t *testing.T, to target, container string) {
	t.Helper()
	m := mark()
	client := to.start(t, `exec ssh -tt h "sleep `+m+`"`)
	awaitMarked(t, m)
	if helpersIn(t, container) == 0 {
		t.Fatal("no helper runs: its end would not be noticed")
	}
	g.signal(syscall.SIGKILL)
	client.wait(t)
	awaitNoneMarked(t, m)
	await(t, "the helper to end", func() bool { return helpersIn(t, container) == 0 })
}

// helpersIn counts the helpers that run in a container.
func helpersIn(t *testing.T, container string) int {
	t.Helper()
	return strings.Count(must(t, exec.Command("docker", "top", container, "-eo", "pid,args")), " helper run")
}

// image is the one that the container was made of.
func (c container) image(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(must(t, exec.Command("docker", "inspect", "-f", "{{.Image}}", c.name)))
}

// essentials are a small part of the suite.
func (to target) essentials(t *testing.T) {
	to.want(t, `ssh h 'echo o; echo e >&2; exit 7' 2>err; echo $? $(cat err)`, "o\n7 e\n")
	to.want(t, `head -c 20M /dev/urandom >up; ssh h cat <up | cmp - up && echo same`, "same\n")
	to.want(t, `ssh -tt h 'stty size; exit 4' </dev/null; echo $?`, "0 0\r\n4\n")
	to.want(t, `ssh h 'echo ${SSH_CONNECTION%% *}'`, "127.0.0.1\n")
	to.knowsTheUser(t)
	to.want(t, makeTree+`scp -qr tree h:$far/ && scp -qr h:$far/tree back && diff -r tree back && echo same`, "same\n")
	address := freeAddress(t)
	to.forward(t, "-L", address+":127.0.0.1:"+to.startEcho(t, ""))
	await(t, "the forward", func() bool { return answers(address) })
	wantEcho(t, "tcp", address)
	port := freePort(t)
	to.forward(t, "-R", port+":127.0.0.1:"+startLocalEcho(t))
	to.shout(t, port, "hello")
	m := mark()
	client := to.start(t, `exec ssh -tt h "sleep `+m+`"`)
	awaitMarked(t, m)
	client.kill()
	awaitNoneMarked(t, m)
}

// asNobody runs a program as an ordinary user in the group of the engine's
// socket, who is the owner of what lies about it.
func asNobody(t *testing.T) func(string, ...string) *exec.Cmd {
	t.Helper()
	need(t, "setpriv")
	if os.Getuid() != 0 {
		missing(t, "only root can run a gateway as "+nobody)
	}
	group, err := user.LookupGroup("docker")
	if err != nil {
		missing(t, err.Error())
	}
	return func(program string, args ...string) *exec.Cmd {
		own := filepath.Dir(args[slices.Index(args, "--config")+1])
		must(t, exec.Command("chown", "-R", nobody, own))
		args = append([]string{"--reuid", nobody, "--regid", group.Gid, "--clear-groups", filepath.Join(own, "gateway")}, args...)
		return exec.Command("setpriv", args...)
	}
}

// inContainer runs a program in a container that has the engine's socket and
// the directory of its configuration, at the same place.
func (w waysGround) inContainer(t *testing.T) func(string, ...string) *exec.Cmd {
	t.Helper()
	return func(program string, args ...string) *exec.Cmd {
		own := filepath.Dir(args[slices.Index(args, "--config")+1])
		docker := []string{"run", "--rm", "--network", "host", "--entrypoint", filepath.Join(own, "gateway"),
			"-v", "/var/run/docker.sock:/var/run/docker.sock", "-v", own + ":" + own, w.image(t)}
		return exec.Command("docker", append(docker, args...)...)
	}
}

func withEnv(env ...string) func(string, ...string) *exec.Cmd {
	return func(program string, args ...string) *exec.Cmd {
		command := plainHome(program, args...)
		command.Env = append(os.Environ(), env...)
		return command
	}
}

// openDir is a temporary directory that others may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "berth-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// runContainer starts a container that goes with the test, and returns its
// name.
func runContainer(t *testing.T, args ...string) string {
	t.Helper()
	name := fmt.Sprintf("berth-test-%d-%s", os.Getpid(), mark())
	must(t, exec.Command("docker", append([]string{"run", "-d", "--name", name}, args...)...))
	t.Cleanup(func() { must(t, exec.Command("docker", "rm", "-f", name)) })
	return name
}

// startTLSEngine is the engine on a port, for those who have a certificate. It
// returns their certificates' directory and the address.
func startTLSEngine(t *testing.T) (certificates, address string) {
	t.Helper()
	need(t, "openssl")
	dir := t.TempDir()
	must(t, exec.Command("bash", "-euc", `cd "$1"
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca-key.pem -out ca.pem -subj /CN=ca -days 1
		for name in server client; do
			openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name-key.pem -out $name.csr -subj /CN=$name
			openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out $name.pem -days 1 \
				-extfile <(echo subjectAltName=IP:127.0.0.1)
		done
		mv client.pem cert.pem; mv client-key.pem key.pem`, "bash", dir))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveTLS(t, listener, dir)
	return dir, listener.Addr().String()
}
