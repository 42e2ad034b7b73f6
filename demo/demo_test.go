package demo

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The demo without an engine, as a program: it starts itself.
func TestDemo(t *testing.T) {
	needTools(t, "ssh", "scp", "rsync")
	out, err := build(t).demo("PATH=" + os.Getenv("PATH"))
	if err != nil || strings.Count(out, "came back the same, by scp and by rsync") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("colour in a pipe: %q", out)
	}
}

// A fresh machine: no ssh, no scp, no rsync, no HOME.
func TestDemoWithoutTools(t *testing.T) {
	out, err := build(t).demo("PATH="+t.TempDir(), "LC_ALL=C")
	if err != nil || strings.Count(out, "came back the same, by scp:") != 2 || strings.Contains(out, "$ rsync") {
		t.Errorf("%v\n%s", err, out)
	}
	first, _, _ := strings.Cut(out, "\n")
	if want := "# no ssh here: the demo's own client runs the ssh and scp commands; rsync is left out"; !strings.HasPrefix(first, want) {
		t.Errorf("%q, want %q", first, want)
	}
}

// An ssh that is not OpenSSH's takes none of the demo's options.
func TestDemoWithAnotherSSH(t *testing.T) {
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, "ssh"), []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := build(t).demo("PATH=" + path)
	if err != nil || strings.Count(out, "came back the same, by scp:") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDemoWithSSHAlone(t *testing.T) {
	ssh := needTools(t, "ssh")
	path := t.TempDir()
	if err := os.Symlink(ssh, filepath.Join(path, "ssh")); err != nil {
		t.Fatal(err)
	}
	out, err := build(t).demo("PATH=" + path)
	if err != nil || strings.Count(out, "came back the same, by scp:") != 2 || !strings.HasPrefix(out, "# no scp here: ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// The program and the demo's directory have a space in their paths.
func TestDemoInAFolderWithASpace(t *testing.T) {
	needTools(t, "ssh", "scp", "rsync")
	p, tmp := build(t), filepath.Join(t.TempDir(), "with a space")
	moved := program{t, filepath.Join(tmp, "gateway")}
	if err := errors.Join(os.Mkdir(tmp, 0o700), os.Rename(p.path, moved.path)); err != nil {
		t.Fatal(err)
	}
	out, err := moved.demo("PATH="+os.Getenv("PATH"), "TMPDIR="+tmp)
	if err != nil || strings.Count(out, "came back the same, by scp and by rsync") != 2 || !strings.Contains(out, tmp+"/berth-demo-") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A TMPDIR that will not do does not matter.
func TestDemoWithAnOddTMPDIR(t *testing.T) {
	p := build(t)
	quotes := filepath.Join(t.TempDir(), `it's "%d" $HOME`)
	if err := os.Mkdir(quotes, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tmp := range []string{"/nowhere", "/proc", quotes} {
		out, err := p.demo("PATH="+os.Getenv("PATH"), "HOME=/nowhere", "TMPDIR="+tmp)
		if err != nil || strings.Count(out, "came back the same") != 2 || strings.Contains(out, tmp+"/berth-demo-") {
			t.Errorf("TMPDIR=%s: %v\n%s", tmp, err, out)
		}
	}
}

// On an engine nothing stays but images.
func TestDemoOnAnEngine(t *testing.T) {
	base := os.Getenv("BERTH_BASE_IMAGE")
	if base == "" {
		missing(t, "BERTH_BASE_IMAGE names no image to make hosts from")
	}
	dir := t.TempDir()
	goBuild(t, dir+"/berth-gateway", "../cmd/gateway")
	goBuild(t, dir+"/berth-provision", "../cmd/provision")
	out, err := exec.Command(dir+"/berth-gateway", "demo", "--once").CombinedOutput()
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

// On a bare Debian, with nothing installed, no network and no engine.
func TestDemoOnABareDebian(t *testing.T) {
	base := os.Getenv("BERTH_BASE_IMAGE")
	if base == "" {
		missing(t, "BERTH_BASE_IMAGE names no image to run in")
	}
	dir := filepath.Dir(build(t).path)
	out, err := exec.Command("docker", "run", "--rm", "--network", "none", "-v", dir+":/berth:ro", base,
		"/berth/gateway", "demo", "--once").CombinedOutput()
	if err != nil || strings.Count(string(out), "came back the same") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}

// program is the gateway, built.
type program struct {
	*testing.T
	path string
}

func build(t *testing.T) program {
	t.Helper()
	p := program{t, filepath.Join(t.TempDir(), "gateway")}
	goBuild(t, p.path, "../cmd/gateway")
	return p
}

func goBuild(t *testing.T, to, pkg string) {
	t.Helper()
	command := exec.Command("go", "build", "-o", to, pkg)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// demo runs the demo without an engine, without HOME and with no other
// variables than these, and sees to it that nothing of it is left.
func (p program) demo(env ...string) (string, error) {
	p.Helper()
	command := exec.Command(p.path, "demo", "--once")
	command.Env = append([]string{"TMPDIR=" + p.TempDir(), "DOCKER_HOST=unix:///nowhere"}, env...)
	out, err := command.CombinedOutput()
	dir := regexp.MustCompile(`/.*/berth-demo-\d+`).FindString(string(out))
	if _, err := os.Stat(dir); dir == "" || !errors.Is(err, fs.ErrNotExist) {
		p.Errorf("left behind: %q (%v)", dir, err)
	}
	return string(out), err
}

// needTools skips the test where a program is not here, and returns the path
// of the first.
func needTools(t *testing.T, tools ...string) (first string) {
	t.Helper()
	for _, tool := range tools {
		path, err := exec.LookPath(tool)
		if err != nil {
			missing(t, err.Error())
		}
		first = cmp.Or(first, path)
	}
	return first
}

// missing skips on a laptop and fails in CI.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
