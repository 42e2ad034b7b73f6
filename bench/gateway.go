package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// gateway is a running gateway with a directory of its own. It is nil for a door
// without one.
type gateway struct {
	program string
	dir     string
	as      *syscall.Credential // nil: the user of bench
	address string
	command *exec.Cmd
}

// startTimeout bounds the start of a gateway.
const startTimeout = 20 * time.Second

// startGateway starts a gateway with dir/gateway.yaml, and returns when it serves.
func startGateway(ctx context.Context, program, dir string, as *syscall.Credential) (*gateway, error) {
	log, err := os.Create(filepath.Join(dir, "gateway.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	g := &gateway{program: program, dir: dir, as: as}
	g.command = exec.Command(program, "serve", "--config", filepath.Join(dir, "gateway.yaml"), "--drain", "0s", "--log", "text")
	g.command.Stdout, g.command.Stderr = log, log
	g.command.SysProcAttr = &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGKILL}
	if err := g.command.Start(); err != nil {
		return nil, err
	}
	serving := regexp.MustCompile(`msg=serving address=(\S+)`)
	for began := time.Now(); time.Since(began) < startTimeout; {
		said, _ := os.ReadFile(log.Name())
		if found := serving.FindSubmatch(said); found != nil {
			g.address = string(found[1])
			return g, nil
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			break
		}
	}
	g.stop()
	said, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("the gateway does not start: %s", said)
}

// again starts another gateway with the same configuration and state.
func (g *gateway) again(ctx context.Context) (*gateway, error) {
	return startGateway(ctx, g.program, g.dir, g.as)
}

func (g *gateway) stop() {
	g.command.Process.Signal(syscall.SIGTERM)
	g.command.Wait()
}

// front returns the process of the gateway that parses the network; 0 in older
// builds, which have none.
func (g *gateway) front() int {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", g.command.Process.Pid))
	for _, task := range tasks {
		children, _ := os.ReadFile(task)
		for _, child := range strings.Fields(string(children)) {
			words, _ := os.ReadFile("/proc/" + child + "/cmdline")
			if pid, err := strconv.Atoi(child); err == nil && strings.Contains(string(words), "\x00front\x00") {
				return pid
			}
		}
	}
	return 0
}

// processes returns the gateway's processes by name.
func (g *gateway) processes() map[string]int {
	processes := map[string]int{"keeper": g.command.Process.Pid}
	if front := g.front(); front != 0 {
		processes["front"] = front
	}
	return processes
}

// memory returns how much memory of their own the gateway's processes hold, in bytes
// (RssAnon, proc(5)). It leaves out the pages of the program's file: both processes
// share them, and the kernel can drop them at any time.
func (g *gateway) memory() (sum int) {
	for _, pid := range g.processes() {
		sum += memoryOf(pid)
	}
	return sum
}

func memoryOf(pid int) int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), "\nRssAnon:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kibibytes, _ := strconv.Atoi(fields[0])
	return kibibytes << 10
}
