package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// envBin names the directory with the programs under test.
const envBin = "BERTH_TEST_BIN"

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "berth-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Setenv(envBin, dir)
	os.Setenv("GORACE", "atexit_sleep_ms=50") // not the second that each program takes otherwise
	for _, name := range []string{"gateway", "provision"} {
		if out, err := build(name); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}

// build makes a static program, since the gateway is its own helper in
// containers, and one that reports data races where there is a C compiler.
func build(name string) ([]byte, error) {
	args := []string{"build", "-tags", "netgo,osusergo", "-o", program(name)}
	cgo := "CGO_ENABLED=0"
	if _, err := exec.LookPath("gcc"); err == nil {
		args = append(args, "-race", "-ldflags", "-linkmode external -extldflags -static")
		cgo = "CGO_ENABLED=1"
	}
	goflags, err := exec.Command("../scripts/goflags").Output()
	if err != nil {
		return nil, fmt.Errorf("patching x/crypto: %w", err)
	}
	command := exec.Command("go", append(args, "berth/cmd/"+name)...)
	command.Env = append(os.Environ(), cgo, "GOFLAGS="+strings.TrimSpace(string(goflags)))
	return command.CombinedOutput()
}

func program(name string) string {
	return filepath.Join(os.Getenv(envBin), name)
}
