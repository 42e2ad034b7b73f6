// Package engine starts Docker engines for a test, with or without GPUs, and has
// projects on an engine that leave nothing behind.
package engine

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/test/harness"
)

// Engine is a dockerd for one test.
type Engine struct {
	API     *client.Client
	Address string // unix://…

	dir     string
	sbin    string // what the engine's containers see as the box's /usr/local/sbin; "": what is there
	env     []string
	flags   []string
	command *exec.Cmd
	ended   chan struct{}
	log     *bytes.Buffer // may be read only after it has ended
}

// Start starts an engine in dir, whose path must be short; dir may have the
// containers of a former engine. The engine is independent of the one that other
// tests use, and ends with the test.
func Start(t *testing.T, dir string, env []string, flags ...string) *Engine {
	t.Helper()
	harness.NeedRoot(t)
	harness.Need(t, "dockerd")
	return start(t, &Engine{dir: dir, env: env, flags: flags})
}

func start(t *testing.T, e *Engine) *Engine {
	t.Helper()
	dir := e.dir
	e.Address = "unix://" + filepath.Join(dir, "docker.sock")
	e.run(t)
	t.Cleanup(func() {
		e.Stop()
		exec.Command("sh", "-c", `umount -l "$0"/exec/netns/* "$0"/data/overlay2/*/merged "$0"/data`, dir).Run()
		if t.Failed() {
			t.Logf("dockerd:\n%s", e.log)
		}
	})
	e.await(t)
	return e
}

// run starts the engine's process.
func (e *Engine) run(t *testing.T) {
	t.Helper()
	path := func(name string) string { return filepath.Join(e.dir, name) }
	ended, log := make(chan struct{}), &bytes.Buffer{}
	flags := slices.Clone(e.flags)
	if !slices.Contains(flags, "--storage-driver") {
		flags = append(flags, "--storage-driver", "vfs")
	}
	args := append(flags, "--host", e.Address, "--data-root", path("data"), "--exec-root", path("exec"),
		"--pidfile", path("pid"), "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false")
	command := exec.Command("dockerd", args...)
	if e.sbin != "" {
		script := `mount --bind "$0" /usr/local/sbin && exec dockerd "$@"`
		command = exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, e.sbin}, args...)...)
	}
	command.Env, command.Stdout, command.Stderr = e.env, log, log
	// In a network of its own: a dockerd without a bridge of its own removes docker0.
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(ended)
		command.Wait()
	}()
	e.command, e.ended, e.log = command, ended, log
}

// Kill kills the engine, as a crash would, and returns when it has ended.
func (e *Engine) Kill() {
	e.command.Process.Kill()
	<-e.ended
	os.Remove(filepath.Join(e.dir, "exec", "containerd", "containerd.pid")) // that ends a moment later
}

// Restart starts an engine again that has ended, and waits until it answers.
func (e *Engine) Restart(t *testing.T) {
	t.Helper()
	e.run(t)
	e.await(t)
}

// await waits until the engine answers.
func (e *Engine) await(t *testing.T) {
	t.Helper()
	api, err := client.New(client.WithHost(e.Address))
	if err != nil {
		t.Fatal(err)
	}
	e.API = api
	harness.Eventually(t, "the engine answers", func() bool {
		if harness.IsClosed(e.ended) {
			harness.Missing(t, "a second Docker engine does not start here:\n"+e.log.String())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
		return err == nil
	})
}

// Stop ends the engine, and returns when it has ended.
func (e *Engine) Stop() {
	e.command.Process.Signal(syscall.SIGTERM)
	<-e.ended
}

// RemoveContainers removes all its containers.
func (e *Engine) RemoveContainers(t *testing.T) {
	ctx := context.Background() // the test's context may have ended
	list, err := e.API.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		t.Error(err)
	}
	for _, c := range list.Items {
		if _, err := e.API.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	}
}
