package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A compose file that never comes holds nobody up who sends SIGTERM.
func TestAnyVerbIsInterruptedWhileItLoads(t *testing.T) {
	for _, verb := range []string{"plan", "up", "ps", "down", "import", "build", "stop"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "compose.yaml")
			if err := syscall.Mkfifo(file, 0o600); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			program := exec.CommandContext(t.Context(), os.Args[0], verb, "-f", file, "--state", filepath.Join(dir, "state"))
			program.Env, program.Stderr = append(os.Environ(), asProvision+"=1"), &said
			if err := program.Start(); err != nil {
				t.Fatal(err)
			}
			writer, err := os.OpenFile(file, os.O_WRONLY, 0) // waits until it reads
			if err != nil {
				t.Fatal(err)
			}
			defer writer.Close()
			if err := program.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- program.Wait() }()
			select {
			case err = <-ended:
			case <-time.After(20 * time.Second):
				program.Process.Kill()
				t.Fatal("it goes on")
			}
			if err == nil || !strings.Contains(said.String(), "interrupted") {
				t.Errorf("%v: %s", err, said.String())
			}
		})
	}
}
