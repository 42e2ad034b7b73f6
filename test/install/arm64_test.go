package install

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// The gateway for arm64 starts and reads its file, on an emulated processor.
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
	if out := harness.Must(t, check); !strings.HasPrefix(out, file+": ok, 1 user, 1 host\n") {
		t.Errorf("check: %s", out)
	}
}
