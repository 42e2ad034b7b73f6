package test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// lab is a container, and a gateway that enters it by route exec.
type lab struct {
	*gateway
	host      string // the container's name at the gateway
	container string // and at the engine
	door      target
}

// place is where the gateway stands, and what it enters.
type place struct {
	by      runner // of the gateway, or else plainHome
	docker  string // its engine, if not the usual one
	mounted bool   // its helper directory is in the container
	image   string // or else the base image
	account string // or else root
}

// runner makes a command of a program and its arguments.
type runner func(program string, args ...string) *exec.Cmd

func startLab(t *testing.T, p place) lab {
	t.Helper()
	if p.by == nil {
		p.by = plainHome
	}
	if p.image == "" {
		p.image = baseImage(t)
	}
	if p.account == "" {
		p.account = "root"
	}
	dir := openDir(t)
	key, host := makeKey(t, dir, "id"), caseHost(fmt.Sprintf("lab-%d", rand.IntN(1e9)))
	config := fmt.Sprintf("users:\n  dev: { keys: [ %s ], hosts: { %s: %s } }\n", publicKey(t, key), host, p.account)
	if p.docker != "" {
		config += "docker: " + p.docker + "\n"
	}
	g := startGatewayBy(t, dir, config, p.by)
	args := []string{"--label", "berth.host=" + host, "--entrypoint", "sleep"}
	if p.mounted {
		args = append(args, "-v", mountOf(dir))
	}
	container := runContainer(t, append(args, p.image, "infinity")...)
	return lab{g, host, container, g.target(t, "exec", "dev+"+host, key)}
}

// mountOf is the mount of the helper directory of a gateway with its state
// below dir.
func mountOf(dir string) string { return filepath.Join(stateOf(dir), "helper") + ":/usr/lib/berth:ro" }

// caseHost is a host's name that nobody else's container has.
func caseHost(name string) string { return fmt.Sprintf("test-%d-%s", os.Getpid(), name) }

// runContainer starts a container that goes with the test, and returns its
// name.
func runContainer(t *testing.T, args ...string) string {
	t.Helper()
	name := fmt.Sprintf("berth-test-%d-%s", os.Getpid(), mark())
	must(t, exec.Command("docker", append([]string{"run", "-d", "--name", name}, args...)...))
	t.Cleanup(func() { must(t, exec.Command("docker", "rm", "-f", name)) })
	return name
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

func withEnv(env ...string) runner {
	return func(program string, args ...string) *exec.Cmd {
		command := plainHome(program, args...)
		command.Env = append(os.Environ(), env...)
		return command
	}
}
