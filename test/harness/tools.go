package harness

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Need skips the test if a tool is missing.
func Need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			Missing(t, tool+" is not installed")
		}
	}
}

// NeedRoot skips the test if it does not run as root.
func NeedRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		Missing(t, "only root can do this")
	}
}

// Missing skips the test, but fails it in CI.
func Missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// Must runs a command that must succeed, and returns its output.
func Must(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, out, stderr.String())
	}
	return string(out)
}

// Read returns the text of a file.
func Read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Write writes a file with this mode, whatever the umask is.
func Write(t *testing.T, path string, mode os.FileMode, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// Exists reports whether there is a file.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Brief quotes a text, or its beginning.
func Brief(s string) string {
	const most = 600
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// EnvSoak is set by make soak; then tests try much more.
const EnvSoak = "BERTH_SOAK"

// Soaking reports whether make soak runs.
func Soaking() bool { return os.Getenv(EnvSoak) != "" }

// Load returns how much a test asks for: usually, or when soaking.
func Load(usually, soaked int) int {
	if Soaking() {
		return soaked
	}
	return usually
}

// EnvClients selects the foreign clients to test: "all", as make clients does, or the
// names of some. Without it, those are tested that every run can afford.
const EnvClients = "BERTH_CLIENTS"

// EveryClient reports whether make clients runs.
func EveryClient() bool { return os.Getenv(EnvClients) == "all" }

// Paramiko returns a python that has paramiko.
func Paramiko(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import paramiko").Run() == nil {
			return python
		}
	}
	Missing(t, "python3-paramiko is not installed")
	return ""
}
