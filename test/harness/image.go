package harness

import (
	"debug/elf"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// EnvBase names the base image of hosts.
const EnvBase = "BERTH_BASE_IMAGE"

// BaseImage returns the image that EnvBase names, or else one that the last make test
// has left.
func BaseImage(t *testing.T) string {
	t.Helper()
	if base := os.Getenv(EnvBase); base != "" {
		Must(t, exec.Command("docker", "image", "inspect", base))
		return base
	}
	out, err := exec.Command("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=berth-base:*").CombinedOutput()
	base, _, _ := strings.Cut(string(out), "\n")
	if err != nil || base == "" {
		Missing(t, fmt.Sprintf("no base image (make test makes one; $%s names another): %s", EnvBase, out))
	}
	return base
}

// TinyImage returns an image with busybox, musl, and an account.
func TinyImage(t *testing.T) string {
	t.Helper()
	Need(t, "musl-gcc")
	if !isStatic("/bin/busybox") {
		Missing(t, "there is no static /bin/busybox (package busybox-static)")
	}
	return importImage(t, "tiny", "", "sleep", "1000000")
}

// isStatic reports whether a program needs no loader.
func isStatic(path string) bool {
	file, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	return !slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}

// BareImage returns an image with one program and an account, like images without a
// distribution.
func BareImage(t *testing.T) string {
	t.Helper()
	Need(t, "gcc")
	return importImage(t, "bare", "", "/pause")
}

// CUDAImage returns an image with this machine's shell and C library, an account, and
// the program take, which prints how many GPUs it sees and then holds memory of a GPU
// until its input ends. Like NVIDIA's own images, it asks for all GPUs, and its PATH
// has the directory where some boxes have the driver.
func CUDAImage(t *testing.T) string {
	t.Helper()
	Need(t, "gcc")
	const variables = "NVIDIA_VISIBLE_DEVICES=all PATH=/usr/local/nvidia/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	return importImage(t, "cuda", variables, "sleep", "1000000")
}

// programs are shell scripts that tests run on this machine.
//
//go:embed testdata/*.sh
var programs embed.FS

// importImage makes an image of the files that a script of testdata creates. The
// image is removed when the test ends. variables are the image's: NAME=VALUE,
// separated by spaces.
func importImage(t *testing.T, name, variables string, command ...string) string {
	t.Helper()
	tag := fmt.Sprintf("berth-test/%s:%s", name, Mark())
	t.Cleanup(func() { exec.Command("docker", "rmi", "-f", tag).Run() })
	words, err := json.Marshal(command)
	if err != nil {
		t.Fatal(err)
	}
	dir, tar := t.TempDir(), filepath.Join(t.TempDir(), "image.tar")
	runHere(t, dir, name+".sh")
	runHere(t, dir, "import.sh", "TAG="+tag, "TAR="+tar, "COMMAND="+string(words), "VARIABLES="+variables)
	return tag
}

// runHere runs a script of testdata with bash, in a directory.
func runHere(t *testing.T, dir, name string, env ...string) {
	t.Helper()
	text, err := programs.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("bash", "-euo", "pipefail", "-c", string(text))
	command.Dir = dir
	command.Env = append(os.Environ(), env...)
	Must(t, command)
}
