package install

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/berth-ssh/berth/test/harness"
)

// What is published in the test.
const (
	modulePath = "github.com/berth-ssh/berth"
	version    = "v0.0.1"
)

// go install takes the programs by the module's path, from a proxy that has nothing of it
// but its last commit, in an empty directory.
func TestGoInstall(t *testing.T) {
	harness.Need(t, "go", "git")
	bin := t.TempDir()
	install := func(flags ...string) *exec.Cmd {
		args := append([]string{"install"}, flags...)
		for _, program := range []string{"gateway", "provision"} {
			args = append(args, modulePath+"/cmd/"+program+"@"+version)
		}
		command := exec.Command("go", args...)
		command.Dir = t.TempDir()
		command.Env = append(os.Environ(), "GOPROXY="+proxy(t), "GOMODCACHE="+t.TempDir(), "GOBIN="+bin, "GOFLAGS=-modcacherw -trimpath",
			"CGO_ENABLED=0", "GOWORK=off", "GOSUMDB=off")
		return command
	}
	if !harness.Soaking() { // it compiles everything, which takes minutes
		harness.Must(t, install("-n"))
		return
	}
	harness.Must(t, install())
	for _, program := range []string{"gateway", "provision"} {
		want := "berth-" + program + " version " + version + " ("
		out := harness.Must(t, exec.Command(filepath.Join(bin, program), "--version"))
		if !strings.HasPrefix(out, want) || !strings.Contains(out, "x/crypto unpatched") {
			t.Errorf("%s --version: %q", program, out)
		}
	}
}

// proxy makes what GOPROXY wants: a directory with the module as it is committed, and
// then the modules that are here already, and then whatever is usual.
func proxy(t *testing.T) string {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	versions := filepath.Join(dir, modulePath, "@v")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		t.Fatal(err)
	}
	file := func(extension string) string { return filepath.Join(versions, version+extension) }
	info, err := json.Marshal(map[string]string{"Version": version})
	if err != nil {
		t.Fatal(err)
	}
	harness.Write(t, filepath.Join(versions, "list"), 0o644, version+"\n")
	harness.Write(t, file(".info"), 0o644, string(info))
	harness.Write(t, file(".mod"), 0o644, harness.Must(t, exec.Command("git", "-C", root, "show", "HEAD:go.mod")))
	archive, err := os.Create(file(".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	committed := t.TempDir()
	harness.Must(t, exec.Command("sh", "-c", `git -C "$0" archive HEAD | tar -x -C "$1"`, root, committed))
	if err := zip.CreateFromDir(archive, module.Version{Path: modulePath, Version: version}, committed); err != nil {
		t.Fatal("the commit is no module: ", err)
	}
	known := strings.TrimSpace(harness.Must(t, exec.Command("go", "env", "GOMODCACHE")))
	usual := strings.TrimSpace(harness.Must(t, exec.Command("go", "env", "GOPROXY")))
	return "file://" + dir + ",file://" + filepath.Join(known, "cache", "download") + "," + usual
}
