package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/rogpeppe/go-internal/txtar"

	"berth/labels"
)

// gpuBox is an engine of the test's own that hands out GPUs without having
// one: it takes a hook of that name in its PATH for NVIDIA's.
type gpuBox struct {
	*testing.T
	api    *client.Client
	dir    string
	engine string // its address

	flags  []string
	daemon *os.Process
	ended  chan struct{} // closed when the daemon has
}

func newGPUBox(t *testing.T, gpus int, flags ...string) *gpuBox {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "only root can start a Docker engine")
	}
	for _, tool := range []string{"dockerd", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, "there is no "+tool+" here")
		}
	}
	dir, err := os.MkdirTemp("", "gpubox") // its socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := &gpuBox{T: t, dir: dir, engine: "unix://" + filepath.Join(dir, "docker.sock"), flags: flags}
	b.stub("nvidia-container-runtime-hook", "#!/bin/sh\nexit 0\n")
	b.driver(gpus)
	b.startEngine()
	b.Cleanup(func() {
		b.removeContainers()
		b.daemon.Signal(syscall.SIGTERM)
		<-b.ended
		syscall.Unmount(filepath.Join(dir, "data"), syscall.MNT_DETACH)
	})
	b.importImage()
	return b
}

// on is the same box in a test below.
func (b *gpuBox) on(t *testing.T) *gpuBox {
	below := *b
	below.T = t
	return &below
}

// env has the stubs first, and the box's engine.
func (b *gpuBox) env() []string {
	return append(os.Environ(), "PATH="+filepath.Join(b.dir, "bin")+":"+os.Getenv("PATH"), "DOCKER_HOST="+b.engine)
}

func (b *gpuBox) stub(name, script string) {
	b.Helper()
	path := filepath.Join(b.dir, "bin", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		b.Fatal(err)
	}
}

// driver is a stub nvidia-smi with so many cards, and these processes on each.
func (b *gpuBox) driver(cards int, pids ...int) {
	var report, list, processes strings.Builder
	for _, pid := range pids {
		fmt.Fprintf(&processes, "<process_info><pid>%d</pid><process_name>/wait</process_name><used_memory>1 MiB</used_memory></process_info>", pid)
	}
	for i := range cards {
		uuid := fmt.Sprintf("GPU-%08x-0000-0000-0000-000000000000", i)
		fmt.Fprintf(&report, "<gpu><product_name>NVIDIA H200</product_name><uuid>%s</uuid><minor_number>%d</minor_number>"+
			"<fb_memory_usage><total>143771 MiB</total><used>0 MiB</used></fb_memory_usage><processes>%s</processes></gpu>", uuid, i, processes.String())
		fmt.Fprintf(&list, "GPU %d: NVIDIA H200 (UUID: %s)\n", i, uuid)
	}
	b.stub("nvidia-smi", "#!/bin/sh\n[ $1 = -L ] && { cat <<'END'\n"+list.String()+"END\nexit; }\n"+
		"cat <<'END'\n<nvidia_smi_log><driver_version>550.127.08</driver_version><cuda_version>12.4</cuda_version>"+report.String()+"</nvidia_smi_log>\nEND\n")
}

// driverOf is a stub nvidia-smi that says what was seen on another machine.
func (b *gpuBox) driverOf(sample string) {
	b.Helper()
	archive, err := txtar.ParseFile(filepath.Join("../../box/testdata/nvidia-smi", sample+".txtar"))
	if err != nil {
		b.Fatal(err)
	}
	b.stub("nvidia-smi", "#!/bin/sh\n[ $1 = -L ] && { cat <<'END'\n"+string(archive.Files[1].Data)+"END\nexit; }\n"+
		"cat <<'END'\n"+string(archive.Files[0].Data)+"END\n")
}

// startEngine starts the engine, or starts it again.
func (b *gpuBox) startEngine() {
	b.Helper()
	path := func(name string) string { return filepath.Join(b.dir, name) }
	log, err := os.Create(path("log")) // a pipe would stay open as long as its children live
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	engine := exec.Command("dockerd", append(b.flags, "--host", b.engine, "--data-root", path("data"), "--exec-root", path("exec"),
		"--pidfile", path("pid"), "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--storage-driver", "vfs")...)
	engine.Env, engine.Stdout, engine.Stderr = b.env(), log, log
	// In a network of its own: without a bridge to itself, an engine removes docker0.
	engine.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: syscall.CLONE_NEWNET}
	if err := engine.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { engine.Wait(); close(ended) }()
	b.daemon, b.ended = engine.Process, ended
	api, err := client.New(client.WithHost(b.engine))
	if err != nil {
		b.Fatal(err)
	}
	b.api = api
	for {
		if _, err := api.Ping(b.Context(), client.PingOptions{NegotiateAPIVersion: true}); err == nil {
			return
		}
		select {
		case <-ended:
			said, _ := os.ReadFile(path("log"))
			missing(b.T, "a second Docker engine does not start here:\n"+string(said))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (b *gpuBox) removeContainers() {
	ctx := context.Background() // the test's own has ended
	list, err := b.api.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		b.Error(err)
	}
	for _, c := range list.Items {
		if _, err := b.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
			b.Error(err)
		}
	}
}

// importImage makes an image of one program that waits.
func (b *gpuBox) importImage() {
	b.Helper()
	root := filepath.Join(b.dir, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		b.Fatal(err)
	}
	program := b.cProgram("#include <unistd.h>\nint main(void) { for (;;) pause(); }\n")
	if err := os.Rename(program, filepath.Join(root, "wait")); err != nil {
		b.Fatal(err)
	}
	tar := exec.Command("tar", "-C", root, "-c", ".")
	out, err := tar.Output()
	if err != nil {
		b.Fatal(err)
	}
	result, err := b.api.ImageImport(b.Context(), client.ImageImportSource{Source: bytes.NewReader(out), SourceName: "-"},
		"wait:latest", client.ImageImportOptions{Changes: []string{`CMD ["/wait"]`}})
	if err != nil {
		b.Fatal(err)
	}
	defer result.Close()
	var said bytes.Buffer
	said.ReadFrom(result)
}

// cProgram is a program that needs nothing from the image that it runs in.
func (b *gpuBox) cProgram(source string) string {
	b.Helper()
	path := filepath.Join(b.dir, "program")
	build := exec.Command("gcc", "-static", "-o", path, "-xc", "-")
	build.Stdin = strings.NewReader(source)
	if out, err := build.CombinedOutput(); err != nil {
		missing(b.T, "no static C library here: "+string(out))
	}
	return path
}

// compose writes a project's file, of services that all run the image that waits.
func (b *gpuBox) compose(project string, services ...string) string {
	b.Helper()
	text := "services:\n"
	for _, s := range services {
		name, rest, _ := strings.Cut(s, ": ")
		text += "  " + name + ": {image: wait, init: false, network_mode: none, stop_grace_period: 0s, restart: always" + rest + "}\n"
	}
	path := filepath.Join(b.dir, project+".yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	return path
}

// program is provision as a process of its own: this test binary, as TestMain has it.
func (b *gpuBox) program(ctx context.Context, args ...string) *exec.Cmd {
	program := exec.CommandContext(ctx, os.Args[0], append(args, "--state", filepath.Join(b.dir, "state"), "--yes")...)
	program.Env = append(b.env(), asProvision+"=1")
	return program
}

// run is provision with these arguments; what it says, and whether it worked.
func (b *gpuBox) run(args ...string) (string, error) {
	out, err := b.program(b.Context(), args...).CombinedOutput()
	return string(out), err
}

func (b *gpuBox) mustRun(args ...string) string {
	b.Helper()
	out, err := b.run(args...)
	if err != nil {
		b.Fatalf("provision %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// holders are the containers by the device that they have; of the project, or
// of all.
func (b *gpuBox) holders(project string) map[string][]string {
	b.Helper()
	list, err := b.api.ContainerList(b.Context(), client.ContainerListOptions{All: true})
	if err != nil {
		b.Fatal(err)
	}
	by := map[string][]string{}
	for _, c := range list.Items {
		result, err := b.api.ContainerInspect(b.Context(), c.ID, client.ContainerInspectOptions{})
		if err != nil || !strings.HasPrefix(c.Labels[labels.Project], project) {
			continue
		}
		for _, request := range result.Container.HostConfig.DeviceRequests {
			for _, uuid := range request.DeviceIDs {
				by[uuid] = append(by[uuid], result.Container.Name)
			}
		}
	}
	return by
}
