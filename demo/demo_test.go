package demo

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The demo without an engine, as a program: it starts itself.
func TestDemo(t *testing.T) {
	demo := buildDemo(t)
	out, err := demo(os.Getenv("PATH"), "--once")
	for _, tool := range []string{"ssh", "scp", "rsync"} {
		if _, lacks := exec.LookPath(tool); lacks != nil {
			missing(t, lacks.Error())
		}
	}
	if err != nil || strings.Count(out, "came back the same") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("colour in a pipe: %q", out)
	}
}

// On an engine nothing stays but images.
func TestDemoOnAnEngine(t *testing.T) {
	base := os.Getenv("BERTH_BASE_IMAGE")
	if base == "" {
		missing(t, "BERTH_BASE_IMAGE names no image to make hosts from")
	}
	dir := t.TempDir()
	build(t, dir+"/gateway", "../cmd/gateway")
	build(t, dir+"/provision", "../cmd/provision")
	out, err := exec.Command(dir+"/gateway", "demo", "--once").CombinedOutput()
	if err != nil || strings.Count(string(out), "came back the same") != 2 || !strings.Contains(string(out), "route exec") {
		t.Fatalf("%v\n%s", err, out)
	}
	project := regexp.MustCompile(`-p (berth-demo-\d+)`).FindStringSubmatch(string(out))
	if project == nil {
		t.Fatalf("no project in\n%s", out)
	}
	for _, what := range [][]string{{"ps", "-aq"}, {"network", "ls", "-q"}, {"volume", "ls", "-q"}} {
		left, err := exec.Command("docker", append(what, "--filter", "name="+project[1])...).CombinedOutput()
		if err != nil || len(left) > 0 {
			t.Errorf("docker %s: %v, left behind: %s", what[0], err, left)
		}
	}
}

func TestDemoWithoutTools(t *testing.T) {
	demo := buildDemo(t)
	out, err := demo(t.TempDir(), "--once")
	if err == nil || !strings.HasPrefix(out, "gateway: the demo needs ssh, scp, rsync here;") || strings.Count(out, "\n") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
}

// buildDemo returns a way to run the demo that sees to it that nothing of it
// is left.
func buildDemo(t *testing.T) func(path string, args ...string) (string, error) {
	program := filepath.Join(t.TempDir(), "gateway")
	build(t, program, "../cmd/gateway")
	return func(path string, args ...string) (string, error) {
		tmp := t.TempDir()
		command := exec.Command(program, append([]string{"demo"}, args...)...)
		command.Env = append(os.Environ(), "PATH="+path, "TMPDIR="+tmp, "DOCKER_HOST=unix:///nowhere")
		out, err := command.CombinedOutput()
		if left, _ := os.ReadDir(tmp); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		return string(out), err
	}
}

func build(t *testing.T, to, pkg string) {
	t.Helper()
	command := exec.Command("go", "build", "-o", to, pkg)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// missing skips on a laptop and fails in CI.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
