package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/berth-ssh/berth/packaging"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"berth-gateway": main})
}

// Each script finds in containers.json what an engine says that runs, and in
// first.yaml what the packages install.
func TestInit(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/init",
		Setup: func(e *testscript.Env) error {
			socket := filepath.Join(e.WorkDir, "engine")
			e.Setenv("DOCKER_HOST", "unix://"+socket)
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("SUDO_USER", "")
			if err := os.WriteFile(filepath.Join(e.WorkDir, "first.yaml"), packaging.FirstConfig, 0o600); err != nil {
				return err
			}
			return startEngine(e, socket)
		},
	})
}

// startEngine answers as an engine that runs what the script's containers.json
// has; without one nothing answers.
func startEngine(e *testscript.Env, socket string) error {
	containers, err := os.ReadFile(filepath.Join(e.WorkDir, "containers.json"))
	if err != nil {
		return nil
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	e.Defer(func() { listener.Close() })
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.47")
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/containers/json") {
			w.Write(containers)
		}
	}))
	return nil
}
