package install

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// The gateway for arm64 starts, reads its file and lets somebody in, on an emulated
// processor.
func TestArm64(t *testing.T) {
	if !harness.Soaking() {
		t.Skip("building for another processor takes minutes: make soak does it")
	}
	harness.Need(t, "qemu-aarch64-static")
	qemu := "qemu-aarch64-static"
	dir := t.TempDir()
	gateway, file := filepath.Join(dir, "gateway"), filepath.Join(dir, "gateway.yaml")
	build := exec.Command("sh", "-ec", "cd ../..; GOFLAGS=$(scripts/goflags); export GOFLAGS; GOARCH=arm64 CGO_ENABLED=0 go build -o "+gateway+" ./cmd/gateway")
	harness.Must(t, build)

	if out := harness.Must(t, exec.Command(qemu, gateway, "--version")); !strings.Contains(out, "berth-gateway version ") {
		t.Errorf("--version: %s", out)
	}
	key := harness.PublicKey(t, harness.MakeKey(t, dir, "id"))
	harness.Write(t, file, 0o600, "listen: 127.0.0.1:0\nstate: /nowhere/berth\nusers: {dev: {keys: ["+key+"], hosts: {box: }}}\nhosts: {box: {route: local}}\n")
	check := exec.Command(qemu, gateway, "check", "--config", file)
	if out := harness.Must(t, check); !strings.HasPrefix(out, file+": ok, 1 user, 1 host in the file\n") {
		t.Errorf("check: %s", out)
	}
	logInToArm64(t, gateway)
}

// logInToArm64 enters this machine through a gateway that is emulated, and so is the
// helper that it starts. Kernels since 6.7 let a user namespace say for itself how a
// program of another processor is run.
func logInToArm64(t *testing.T, gateway string) {
	t.Helper()
	harness.Need(t, "ssh", "ssh-keygen", "unshare")
	dir := t.TempDir()
	const emulate = `mkdir "$0" && mount -t binfmt_misc none "$0" && printf %s "$1" >"$0/register" && shift && exec "$@"`
	const header = `:arm64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:` +
		`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:F`
	by := func(_ string, args ...string) *exec.Cmd {
		in := []string{"--user", "--map-root-user", "--mount", "sh", "-ec", emulate, filepath.Join(dir, "formats"), header, gateway}
		return exec.Command("unshare", append(in, args...)...)
	}
	if out, err := by("", "--version").CombinedOutput(); err != nil {
		harness.Missing(t, "this kernel emulates no other processor in a user namespace: "+string(out))
	}
	harness.Must(t, exec.Command("rmdir", filepath.Join(dir, "formats")))
	key := harness.MakeKey(t, dir, "id")
	g := harness.StartGatewayBy(t, dir, "docker: none\nusers: {dev: {keys: ["+harness.PublicKey(t, key)+"], hosts: {box: }}}\nhosts: {box: {route: local}}\n", by)
	to := g.Target(t, "arm64", "dev+box", key)
	to.Want(t, "ssh h 'echo $BERTH_USER; exit 3'; echo $?", "dev\n3\n")
	to.Want(t, "head -c 300000 /dev/zero | ssh h 'cat; echo >&2 done' 2>&1 | wc -c", "300005\n")
	to.Want(t, "ssh -tt h 'test -t 0 && stty size' </dev/null 2>/dev/null | tr -d '\\r'", "0 0\n")
	to.Want(t, "echo text >f; scp -q f h:"+dir+"/copied; ssh h cat "+dir+"/copied", "text\n")
}
