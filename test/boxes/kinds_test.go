package boxes

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// Boxes whose engines are reached in the other two ways: a second engine of this machine,
// by descriptors, and one behind TLS, whose certificates only this box has.
func TestKindsOfBoxes(t *testing.T) {
	proxy, certificates := harness.StartTLSEngine(t)
	here := "unix://" + harness.EngineSocket(t)
	host := harness.HostName("kinds")
	harness.RunContainer(t, "--label", "berth.host="+host, "--entrypoint", "sleep", harness.BaseImage(t), "infinity")
	for kind, c := range map[string]struct{ box, by string }{
		"here": {"docker: " + here, "descriptors"},
		"tls":  {"docker: " + proxy.Address + ", tls: " + certificates, "streams"},
	} {
		t.Run(kind, func(t *testing.T) {
			dir := harness.OpenDir(t)
			key := harness.MakeKey(t, dir, "id")
			g := harness.StartGateway(t, dir, fmt.Sprintf("docker: none\nboxes: { a100: { %s } }\nusers: { dev: { keys: [ %s ], hosts: { \"*.a100\": root } } }\n", c.box, harness.PublicKey(t, key)))
			to := g.Target(t, kind, "dev+"+host, key)
			to.Want(t, `ssh h 'echo here; exit 0'`, "here\n")
			if by := g.AwaitRecord(t, "helper started")["by"]; by != c.by {
				t.Errorf("entered by %s, want %s", by, c.by)
			}
		})
	}
	dir := harness.OpenDir(t)
	config := filepath.Join(dir, "gateway.yaml")
	harness.Write(t, config, 0o600, "state: "+harness.StateOf(dir)+"\ndocker: none\nboxes: { a100: { docker: "+proxy.Address+", tls: nowhere } }\nusers: { dev: { keys: [ "+
		harness.PublicKey(t, harness.MakeKey(t, dir, "id"))+" ], hosts: { x: } } }\n")
	out, err := exec.Command(harness.Program("gateway"), "check", "--config", config).CombinedOutput()
	if want := "certificates in " + filepath.Join(dir, "nowhere"); err != nil || !strings.Contains(string(out), want) {
		t.Errorf("check: %v, want %q in\n%s", err, want, out)
	}
}
