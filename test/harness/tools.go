package harness

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Need skips the test where a tool is missing.
func Need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			Missing(t, tool+" is not installed")
		}
	}
}

// NeedRoot skips the test where this is an ordinary user.
func NeedRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		Missing(t, "only root can do this")
	}
}

// Missing skips on a laptop and fails in CI.
func Missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// Must runs a command that has to succeed.
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

// Read is the text of a file.
func Read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Write writes a file, which has that mode whatever the umask is.
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

// Brief quotes a text, or the start of it.
func Brief(s string) string {
	const most = 600
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// EnvSoak is set by make soak: then all is tried that is worth trying.
const EnvSoak = "BERTH_SOAK"

// Soaking reports whether make soak runs.
func Soaking() bool { return os.Getenv(EnvSoak) != "" }

// Load is how much is asked for.
func Load(usually, soaked int) int {
	if Soaking() {
		return soaked
	}
	return usually
}

// EnvClients chooses the clients that others wrote: "all" of them, as make
// clients does, or the names of some. Without it, those that every test run can
// afford.
const EnvClients = "BERTH_CLIENTS"

// EveryClient reports whether make clients runs.
func EveryClient() bool { return os.Getenv(EnvClients) == "all" }

// Paramiko is a python that has it.
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
