package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
)

// envProfiles names a directory for profiles of the gateway.
const envProfiles = "BENCH_PROFILE"

//go:embed profiled.go.txt
var profiled []byte

// buildProfiled builds a gateway that can be profiled, into dir. The file that adds
// this is in no other build.
func buildProfiled(ctx context.Context, dir string) (program string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	source, overlay := filepath.Join(dir, "profiled.go"), filepath.Join(dir, "overlay.json")
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(here, "cmd/gateway/profiled.go"): source}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(source, profiled, 0o644); err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, replace, 0o644); err != nil {
		return "", err
	}
	program = filepath.Join(dir, "gateway")
	command := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", program, "./cmd/gateway")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	command.Stderr = os.Stderr
	return program, command.Run()
}

// profile records the processor time of both processes until finish is called. It
// does nothing if the gateway cannot be profiled.
func (g *gateway) profile(name string) (finish func()) {
	if os.Getenv(envProfiles) == "" || g == nil {
		return func() {}
	}
	processes := g.processes()
	for _, pid := range processes {
		ask(pid, "start", "")
	}
	return func() {
		for process, pid := range processes {
			ask(pid, "stop", name+"-"+process+".pprof")
		}
	}
}

// profileMemory records what the heaps hold and what the goroutines do.
func (g *gateway) profileMemory(name string) {
	if os.Getenv(envProfiles) == "" {
		return
	}
	for process, pid := range g.processes() {
		name := name + "-" + process
		ask(pid, "memory?of=heap", name+"-heap.pprof")
		ask(pid, "memory?of=heap&debug=1", name+"-heap.txt") // ends with the runtime's own counts
		ask(pid, "memory?of=goroutine", name+"-goroutines.pprof")
	}
}

// ask asks a process of a profiled gateway, and stores the answer if name is not
// empty.
func ask(pid int, what, name string) {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", fmt.Sprintf("@berth-bench-%d", pid))
	}}}
	defer client.CloseIdleConnections()
	answer, err := client.Post("http://gateway/"+what, "", nil)
	if err != nil {
		return
	}
	defer answer.Body.Close()
	if name == "" {
		return
	}
	if file, err := os.Create(filepath.Join(os.Getenv(envProfiles), name)); err == nil {
		io.Copy(file, answer.Body)
		file.Close()
	}
}
