package front

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-ssh/berth/front/messages"
)

// envShutOff makes this program shut itself off, and say what it can do then.
const envShutOff = "BERTH_TEST_SHUT_OFF"

func TestMain(m *testing.M) {
	if os.Getenv(envShutOff) == "" {
		os.Exit(m.Run())
	}
	if err := shutOff(messages.Settings{UID: 65534, GID: 65534}, slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
		fmt.Println("not shut off:", err)
		os.Exit(1)
	}
	for name, try := range attacks() {
		if err := try(); err == nil {
			fmt.Println("it can", name)
		} else if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
			fmt.Println(name+":", err)
		}
	}
	os.Exit(0)
}

// attacks are what whoever takes a front over would like to do.
func attacks() map[string]func() error {
	return map[string]func() error{
		"read a file":                    func() error { _, err := os.ReadFile("/etc/hostname"); return err },
		"write a file":                   func() error { return os.WriteFile("/tmp/berth-front-test", nil, 0o600) },
		"list a directory":               func() error { _, err := os.ReadDir("/"); return err },
		"read another process":           func() error { _, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", os.Getppid())); return err },
		"start a program":                func() error { return exec.Command("/proc/self/exe").Run() },
		"connect":                        func() error { _, err := net.Dial("tcp", "127.0.0.1:1"); return err },
		"reach the engine":               func() error { _, err := net.Dial("unix", "/var/run/docker.sock"); return err },
		"send a datagram":                func() error { _, err := net.Dial("udp", "127.0.0.1:53"); return err },
		"listen":                         func() error { _, err := net.Listen("tcp", "127.0.0.1:0"); return err },
		"signal another process":         func() error { return unix.Kill(os.Getppid(), 0) },
		"trace":                          func() error { return unix.PtraceAttach(os.Getppid()) },
		"give a file another mode":       func() error { return unix.Fchmod(1, 0o4755) },
		"be root":                        func() error { return unix.Setreuid(0, 0) },
		"have a namespace":               func() error { return unix.Unshare(unix.CLONE_NEWUSER) },
		"load a program into the kernel": func() error { _, _, errno := unix.Syscall(unix.SYS_BPF, 0, 0, 0); return errno },
		"change its root":                func() error { return unix.Chroot("/") },
		"fork": func() error {
			_, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
			return orNil(errno)
		},
	}
}

func orNil(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// The attack: whoever has taken a front over looks for a way on.
func TestAFrontThatIsTakenOverGetsNowhere(t *testing.T) {
	command := exec.Command("/proc/self/exe")
	command.Env = append(os.Environ(), envShutOff+"=1")
	out, err := command.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "" {
		t.Errorf("%s%v", out, err)
	}
}
