package placement

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// TestImage runs the gateway's own image by the compose file that is shipped, and
// enters a host through it.
func TestImage(t *testing.T) {
	harness.Need(t, "docker", "docker-compose")
	harness.NeedRoot(t)
	dir, state, bin := t.TempDir(), t.TempDir(), t.TempDir()
	os.Chmod(state, 0o700)
	harness.Must(t, exec.Command("cp", harness.Program("gateway"), filepath.Join(bin, "berth-gateway")))
	image := "berth-test/gateway:" + harness.Mark()
	t.Cleanup(func() { exec.Command("docker", "rmi", "-f", image).Run() })
	harness.Must(t, exec.Command("docker", "build", "-q", "-t", image, "-f", "../../packaging/Dockerfile", bin))

	host := harness.RunContainer(t, harness.BaseImage(t), "sleep", "1000000")
	key, address := harness.MakeKey(t, dir, "id"), harness.FreeAddress(t)
	harness.Write(t, filepath.Join(dir, "gateway.yaml"), 0o600, fmt.Sprintf(
		"listen: %s\nstate: %s\nusers: { dev: { keys: [ %s ], hosts: { box: } } }\nhosts: { box: { route: exec, container: %s } }\n",
		address, state, harness.PublicKey(t, key), host))
	compose := func(args ...string) *exec.Cmd {
		command := exec.Command("docker-compose", append([]string{"-p", host, "-f", "../../configs/gateway.compose.yaml"}, args...)...)
		command.Env = append(os.Environ(), "BERTH_GATEWAY_IMAGE="+image, "BERTH_CONFIG="+dir, "BERTH_STATE="+state, "BERTH_ENGINE="+harness.EngineSocket(t))
		return command
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := compose("logs").CombinedOutput()
			t.Logf("%s", out)
		}
		compose("down", "-t", "5").Run()
	})
	harness.Must(t, compose("up", "-d"))
	harness.Eventually(t, "the gateway", func() bool { return harness.Answers(address) })
	known := filepath.Join(dir, "known_hosts")
	harness.Write(t, known, 0o600, "["+address[:len("127.0.0.1")]+"]"+address[len("127.0.0.1"):]+" "+harness.Must(t, exec.Command("ssh-keygen", "-y", "-f", filepath.Join(state, "ssh_host_ed25519_key"))))
	to := harness.NewTarget(t, dir, "image", harness.Door{Address: address, Login: "dev+box", Key: key, KnownHosts: known})
	to.Want(t, "echo text >f; scp -q f h:/tmp/f; ssh h cat /tmp/f", "text\n")
}
