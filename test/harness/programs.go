package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// EnvPrograms names the directory of the programs under test. scripts/test sets it,
// so that they are built only once.
const EnvPrograms = "BERTH_TEST_PROGRAMS"

// Main runs the tests of a package, for its TestMain. If EnvPrograms is not set, it
// first builds the programs for this package.
func Main(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	os.Setenv("GORACE", "atexit_sleep_ms=50") // not the second that each program takes otherwise
	if os.Getenv(EnvPrograms) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "berth-programs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if out, err := build(dir); err != nil {
		fmt.Fprintf(os.Stderr, "building the programs under test: %v\n%s", err, out)
		return 1
	}
	os.Setenv(EnvPrograms, dir)
	return m.Run()
}

// build runs the script that builds the programs under test.
func build(dir string) ([]byte, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	return exec.Command(filepath.Join(root, "scripts", "test-programs"), dir).CombinedOutput()
}

// Root returns the root directory of the repository.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; !Exists(filepath.Join(dir, "go.mod")); dir = filepath.Dir(dir) {
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod in the working directory or above it")
		}
	}
	return dir, nil
}

// Program returns the path of a program under test: gateway or provision.
func Program(name string) string {
	return filepath.Join(os.Getenv(EnvPrograms), name)
}
