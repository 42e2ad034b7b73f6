package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/berth-ssh/berth/state"
)

func TestMetricsAreForThisMachine(t *testing.T) {
	for want, given := range map[string]struct {
		listen string
		every  time.Duration
	}{
		"an address of this machine alone": {"0.0.0.0:9223", time.Minute},
		"--every must be a second or more": {"127.0.0.1:9223", time.Millisecond},
	} {
		if err := serveMetrics(t.Context(), onBox{options{state: t.TempDir()}}, given.listen, given.every); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", given, err)
		}
	}
}

// A box whose engine is down, or hangs, tells of its GPUs, and why it does not know who
// holds them.
func TestMetricsWithoutAnEngine(t *testing.T) {
	dir := t.TempDir()
	st, err := state.Open(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	runSample(t, "580_h100_with_a_process")
	silent, err := net.Listen("unix", filepath.Join(dir, "silent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for socket, want := range map[string]string{
		"none.sock":   "no Docker engine answers at unix://",
		"silent.sock": "the Docker engine does not answer in 100ms",
	} {
		t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, socket))
		seen, err := onBox{}.see(t.Context(), st, 100*time.Millisecond)
		if err != nil || !strings.HasPrefix(seen.NoEngine, want) || len(seen.GPUs) != 1 {
			t.Errorf("%s: %v, %+v", socket, err, seen)
			continue
		}
		if gpu := seen.GPUs[0]; gpu.Utilisation != 99 || len(gpu.Processes) != 1 || gpu.Holders != nil {
			t.Errorf("%s: %+v", socket, gpu)
		}
	}
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
	if seen, err := (onBox{}).see(t.Context(), st, time.Minute); err == nil {
		t.Errorf("of an engine elsewhere it sees %+v", seen)
	}
}

// runSample makes nvidia-smi here say what it said on a real box, by one of box's samples.
func runSample(t *testing.T, name string) {
	t.Helper()
	sample, err := txtar.ParseFile(filepath.Join("../../box/testdata/nvidia-smi", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, file := range sample.Files {
		if err := os.WriteFile(filepath.Join(dir, file.Name), file.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	smi := fmt.Sprintf("#!/bin/sh\n[ $1 = -L ] && exec cat %[1]s/L\nexec cat %[1]s/q-x\n", dir)
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte(smi), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}
