package helper

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// envLive makes this program a helper that answers until its input ends.
const envLive = "BERTH_HELPER_LIVE"

// The attack: two people share an account of a host. One of them reads the memory of
// the helper, which has the bytes and the agent of the other.
func TestNamesakesCannotReadTheHelper(t *testing.T) {
	program, nobody := readableBy(t, os.Args[0])
	command := exec.Command(program)
	command.Env, command.SysProcAttr = append(os.Environ(), envLive+"=1"), nobody
	_, out := harness.Talk(t, command)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"mem", "environ", "maps", "fd/0"} {
		look := exec.Command("head", "-c0", fmt.Sprintf("/proc/%d/%s", command.Process.Pid, file))
		look.SysProcAttr = nobody
		if said, err := look.CombinedOutput(); err == nil {
			t.Errorf("its own account opens %s of the helper: %s", file, said)
		}
	}
}

// readableBy copies a program to where the account nobody may run it, and returns how
// to run it as nobody if this test runs as root: root may read every process.
func readableBy(t *testing.T, program string) (string, *syscall.SysProcAttr) {
	t.Helper()
	if os.Getuid() != 0 {
		return program, nil
	}
	from, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.CreateTemp("", "helper")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(to.Name()) })
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Chmod(0o755); err != nil {
		t.Fatal(err)
	}
	return to.Name(), &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}
