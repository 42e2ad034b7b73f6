package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
)

// envProfileSocket tells a profiled gateway where to listen.
const envProfileSocket = "BERTH_BENCH_PROFILE_SOCKET"

//go:embed profiled.go.txt
var profiled []byte

// buildProfiled builds a gateway that can be profiled, into dir. The file that
// makes it so is part of this build alone.
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

func (g *gateway) profileSocket() string { return filepath.Join(g.dir, "profile") }

// profile records until it is finished, where there is something to record.
func (g *gateway) profile(ctx context.Context, name string) (finish func()) {
	dir := os.Getenv("BENCH_PROFILE")
	if dir == "" || g == nil {
		return func() {}
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", g.profileSocket())
	}}}
	client.Post("http://gateway/start", "", nil)
	return func() {
		answer, err := client.Post("http://gateway/stop", "", nil)
		if err != nil {
			return
		}
		defer answer.Body.Close()
		if file, err := os.Create(filepath.Join(dir, name+".pprof")); err == nil {
			io.Copy(file, answer.Body)
			file.Close()
		}
	}
}
