package harness

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Lab is a container, and a gateway that enters it by route exec.
type Lab struct {
	*Gateway
	Host      string // the container's name at the gateway
	Container string // and at the engine
	Door      Target
	By        Runner // of the gateway
}

// Place says where the gateway runs, and which container it enters.
type Place struct {
	By      Runner   // of the gateway; nil: PlainHome
	Docker  string   // its engine; "": the usual one
	Mounted bool     // the gateway's helper directory is mounted in the container
	Image   string   // "": the base image
	Account string   // "": root; or ImageUser
	Args    []string // more arguments of docker run
	Command []string // of the container; nil: sleep; empty: the image's own
}

// ImageUser stands for a grant that names no account.
const ImageUser = "~"

// StartLab starts a container and a gateway that can enter it.
func StartLab(t *testing.T, p Place) Lab {
	t.Helper()
	if p.By == nil {
		p.By = PlainHome
	}
	if p.Image == "" {
		p.Image = BaseImage(t)
	}
	if p.Account == "" {
		p.Account = "root"
	}
	dir := OpenDir(t)
	key, host := MakeKey(t, dir, "id"), HostName(fmt.Sprintf("lab-%d", rand.IntN(1e9)))
	account := p.Account
	if account != ImageUser {
		account = strconv.Quote(account)
	}
	config := fmt.Sprintf("users:\n  dev: { keys: [ %s ], hosts: { %s: %s } }\n", PublicKey(t, key), host, account)
	if p.Docker != "" {
		config += "docker: " + p.Docker + "\n"
	}
	g := StartGatewayBy(t, dir, config, p.By)
	container := RunContainer(t, p.arguments(dir, host)...)
	return Lab{g, host, container, g.Target(t, "exec", "dev+"+host, key), p.By}
}

// arguments returns the arguments of docker run for the container.
func (p Place) arguments(dir, host string) []string {
	args := append([]string{"--label", "berth.host=" + host}, p.Args...)
	if p.Mounted {
		args = append(args, "-v", MountOf(dir))
	}
	if p.Command == nil {
		return append(args, "--entrypoint", "sleep", p.Image, "infinity")
	}
	return append(append(args, p.Image), p.Command...)
}

// MountOf returns the mount of the helper directory, for a gateway with its state
// below dir.
func MountOf(dir string) string { return filepath.Join(StateOf(dir), "helper") + ":/usr/lib/berth:ro" }

// HostName returns a host's name that no other container has.
func HostName(name string) string { return fmt.Sprintf("test-%d-%s", os.Getpid(), name) }

// RunContainer starts a container, which is removed when the test ends, and returns
// its name.
func RunContainer(t *testing.T, args ...string) string {
	t.Helper()
	name := fmt.Sprintf("berth-test-%d-%s", os.Getpid(), Mark())
	Must(t, exec.Command("docker", append([]string{"run", "-d", "--name", name}, args...)...))
	t.Cleanup(func() { Must(t, exec.Command("docker", "rm", "-f", name)) })
	return name
}

// OpenDir returns a temporary directory that other accounts may enter.
func OpenDir(t *testing.T) string {
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

// WithEnv runs a program with additional variables.
func WithEnv(env ...string) Runner {
	return func(program string, args ...string) *exec.Cmd {
		command := PlainHome(program, args...)
		command.Env = append(os.Environ(), env...)
		return command
	}
}

// StartStreams returns a lab with the container's image, to which no descriptor can
// cross: its engine is behind TLS.
func StartStreams(t *testing.T, c Container) Lab {
	t.Helper()
	p := BehindTLS(StartTLSEngine(t))
	p.Image, p.Account = c.Image(t), "developer"
	return StartLab(t, p)
}

// BehindTLS returns a place whose engine is a proxy of StartTLSEngine.
func BehindTLS(proxy *EngineProxy, certificates string) Place {
	return Place{Docker: proxy.Address, By: WithEnv("DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH="+certificates)}
}
