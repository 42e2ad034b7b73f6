package engine

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/client"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/berth-ssh/berth/test/harness"
)

// GPUBox is an engine for one test that hands out GPUs without having any: it takes a
// program in its PATH for NVIDIA's hook. Its image "wait" has one program, which
// waits.
type GPUBox struct {
	*testing.T
	*Engine
	Dir string // directory of stubs, state and compose files
}

// NewGPUBox starts a box with so many GPUs; flags are dockerd's.
func NewGPUBox(t *testing.T, gpus int, flags ...string) *GPUBox {
	t.Helper()
	return newGPUBox(t, gpus, &Engine{flags: flags})
}

// NewGPUBoxElsewhere starts a GPU box at the other end of a wire. Only that box has
// the driver; programs on this machine do not see it.
func NewGPUBoxElsewhere(t *testing.T, name string, gpus int) (*GPUBox, *Box) {
	t.Helper()
	dir := harness.OpenDir(t)
	g := newGPUBox(t, gpus, &Engine{dir: dir, sbin: filepath.Join(dir, "bin")})
	return g, behindWire(t, name, g.Engine)
}

func newGPUBox(t *testing.T, gpus int, e *Engine) *GPUBox {
	t.Helper()
	harness.NeedRoot(t)
	harness.Need(t, "dockerd", "gcc")
	b := &GPUBox{T: t, Dir: cmp.Or(e.dir, harness.OpenDir(t))}
	b.Stub("nvidia-container-runtime-hook", "#!/bin/sh\nexit 0\n")
	b.Driver(gpus)
	e.dir, e.env = b.Dir, b.stubsFirst()
	b.Engine = start(t, e)
	t.Cleanup(func() { b.RemoveContainers(t) })
	b.importImage()
	return b
}

// On returns the same box for a subtest.
func (b *GPUBox) On(t *testing.T) *GPUBox {
	below := *b
	below.T = t
	return &below
}

// Env returns an environment with the stubs first in PATH, and with the box's engine.
func (b *GPUBox) Env() []string { return append(b.stubsFirst(), "DOCKER_HOST="+b.Address) }

func (b *GPUBox) stubsFirst() []string {
	return append(os.Environ(), "PATH="+filepath.Join(b.Dir, "bin")+":"+os.Getenv("PATH"))
}

// Stub replaces one of NVIDIA's tools by a script.
func (b *GPUBox) Stub(name, script string) {
	b.Helper()
	path := filepath.Join(b.Dir, "bin", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		b.Fatal(err)
	}
}

// Driver installs a stub nvidia-smi that reports this many cards, with these
// processes on each.
func (b *GPUBox) Driver(cards int, pids ...int) {
	b.Helper()
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
	b.nvidiaSMI(list.String(), "<nvidia_smi_log><driver_version>550.127.08</driver_version><cuda_version>12.4</cuda_version>"+report.String()+"</nvidia_smi_log>\n")
}

// DriverOf installs a stub nvidia-smi that prints what was recorded on another
// machine, from a file with its report followed by its list.
func (b *GPUBox) DriverOf(sample string) {
	b.Helper()
	archive, err := txtar.ParseFile(sample)
	if err != nil {
		b.Fatal(err)
	}
	if len(archive.Files) < 2 {
		b.Fatalf("%s has no report and list", sample)
	}
	b.nvidiaSMI(string(archive.Files[1].Data), string(archive.Files[0].Data))
}

func (b *GPUBox) nvidiaSMI(list, report string) {
	b.Helper()
	b.Stub("nvidia-smi", "#!/bin/sh\n[ $1 = -L ] && { cat <<'END'\n"+list+"END\nexit; }\ncat <<'END'\n"+report+"END\n")
}

// CProgram returns a program that needs nothing of its container's image.
func (b *GPUBox) CProgram(source string) string {
	b.Helper()
	path := filepath.Join(b.Dir, "program")
	build := exec.Command("gcc", "-static", "-o", path, "-xc", "-")
	build.Stdin = strings.NewReader(source)
	if out, err := build.CombinedOutput(); err != nil {
		harness.Missing(b.T, "no static C library here: "+string(out))
	}
	return path
}

func (b *GPUBox) importImage() {
	b.Helper()
	root := filepath.Join(b.Dir, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		b.Fatal(err)
	}
	program := b.CProgram("#include <unistd.h>\nint main(void) { for (;;) pause(); }\n")
	if err := os.Rename(program, filepath.Join(root, "wait")); err != nil {
		b.Fatal(err)
	}
	files := harness.Must(b.T, exec.Command("tar", "-C", root, "-c", "."))
	result, err := b.API.ImageImport(b.Context(), client.ImageImportSource{Source: strings.NewReader(files), SourceName: "-"},
		"wait:latest", client.ImageImportOptions{Changes: []string{`CMD ["/wait"]`}})
	if err != nil {
		b.Fatal(err)
	}
	defer result.Close()
	var said bytes.Buffer
	if _, err := said.ReadFrom(result); err != nil {
		b.Fatal(err)
	}
}

// Compose writes a project's file. Each service is given as NAME: MORE, runs the
// image that waits, and has the further keys in MORE.
func (b *GPUBox) Compose(project string, services ...string) string {
	b.Helper()
	text := "services:\n"
	for _, s := range services {
		name, more, _ := strings.Cut(s, ": ")
		text += "  " + name + ": {image: wait, init: false, network_mode: none, stop_grace_period: 0s, restart: always" + more + "}\n"
	}
	path := filepath.Join(b.Dir, project+".yaml")
	harness.Write(b.T, path, 0o644, text)
	return path
}

// DockerCompose returns docker compose for the box, as the present plugin or the
// former program.
func (b *GPUBox) DockerCompose(args ...string) *exec.Cmd {
	b.Helper()
	program := []string{"docker", "compose"}
	if exec.Command("docker", "compose", "version").Run() != nil {
		harness.Need(b.T, "docker-compose")
		program = []string{"docker-compose"}
	}
	command := exec.CommandContext(b.Context(), program[0], append(program[1:], args...)...)
	command.Env = b.Env()
	return command
}

// Provision returns the program under test, with the box's state and without
// questions.
func (b *GPUBox) Provision(args ...string) *exec.Cmd {
	command := exec.CommandContext(b.Context(), harness.Program("provision"), append(args, "--state", filepath.Join(b.Dir, "state"), "--yes")...)
	command.Env = b.Env()
	return command
}

// Holders returns the names of containers by the GPU that they hold, of the project
// or of all.
func (b *GPUBox) Holders(project string) map[string][]string {
	b.Helper()
	list, err := b.API.ContainerList(b.Context(), client.ContainerListOptions{All: true})
	if err != nil {
		b.Fatal(err)
	}
	by := map[string][]string{}
	for _, c := range list.Items {
		result, err := b.API.ContainerInspect(b.Context(), c.ID, client.ContainerInspectOptions{})
		if err != nil || !strings.HasPrefix(c.Labels["berth.project"], project) {
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
