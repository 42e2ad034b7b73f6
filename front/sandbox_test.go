package front

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/berth-ssh/berth/front/messages"
)

// envShutOff makes this program shut itself off, and say what it can do then.
const envShutOff = "BERTH_TEST_SHUT_OFF"

func TestMain(m *testing.M) {
	if os.Getenv(envShutOff) == "" {
		os.Exit(m.Run())
	}
	with, err := prepare()
	if err != nil {
		fmt.Println("not prepared:", err)
		os.Exit(1)
	}
	if err := shutOff(messages.Settings{UID: frontUID, GID: frontUID}, slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
		fmt.Println("not shut off:", err)
		os.Exit(1)
	}
	all := attacks()
	maps.Copy(all, with.attacks())
	for name, try := range all {
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

// prepared is what a front has when it is taken over: connections and the listener, a
// terminal where the gateway was started at one, and beside it the front of a former
// gateway, which has the same account.
type prepared struct {
	client, listener int
	ended            int                 // a listener that was shut down
	to               *unix.SockaddrInet4 // where somebody listens who is none of the front's
	other            int                 // the process of the other front
}

// frontUID is the account of both.
const frontUID = 65534

func prepare() (p prepared, err error) {
	here, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return p, err
	}
	p.to = &unix.SockaddrInet4{Port: here.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
	for _, fd := range []*int{&p.client, &p.listener, &p.ended} {
		if *fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return p, err
		}
	}
	if err := errors.Join(unix.Connect(p.client, p.to), unix.Listen(p.listener, 1), unix.Listen(p.ended, 1), unix.Shutdown(p.ended, unix.SHUT_RD)); err != nil {
		return p, err
	}
	other := exec.Command("sleep", "60")
	other.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if os.Getuid() == 0 {
		other.SysProcAttr.Credential = &syscall.Credential{Uid: frontUID, Gid: frontUID, NoSetGroups: true}
	}
	if err := other.Start(); err != nil {
		return p, err
	}
	p.other = other.Process.Pid
	return p, nil
}

// attacks use what is open, and who has the same account.
func (p prepared) attacks() map[string]func() error {
	return map[string]func() error{
		// Without connect(2): a connection by what sends (tcp(7), TCP_FASTOPEN), which
		// takes a listener that was ended.
		"connect by sending":   func() error { return unix.Sendto(p.ended, []byte("x"), unix.MSG_FASTOPEN, p.to) },
		"connect by a message": func() error { return unix.Sendmsg(p.ended, []byte("x"), nil, p.to, unix.MSG_FASTOPEN) },
		"end the listener":     func() error { return unix.Shutdown(p.listener, unix.SHUT_RD) }, // that the next front has, too
		"have the listener drop everything": func() error {
			return unix.SetsockoptInt(p.listener, unix.IPPROTO_IP, unix.IP_MINTTL, 255)
		},
		"have a socket for datagrams": func() error { // which go to any path, the journal's for one
			_, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
			return err
		},
		"signal another front": func() error { return unix.Tgkill(p.other, p.other, 0) },
		"have the kernel signal another front": func() error {
			_, err := unix.FcntlInt(uintptr(p.client), unix.F_SETOWN, p.other)
			return err
		},
		"have it signalled by another call": func() error { return unix.IoctlSetPointerInt(p.client, unix.SIOCSPGRP, p.other) },
		"end another front by its limits":   func() error { return unix.Prlimit(p.other, unix.RLIMIT_CPU, &unix.Rlimit{Cur: 60, Max: 60}, nil) },
		"type at the gateway's terminal": func() error {
			return unix.IoctlSetPointerInt(0, unix.TIOCSTI, 'x')
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
	terminal, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	defer tty.Close()
	command.Stdin, command.SysProcAttr = tty, &syscall.SysProcAttr{Setsid: true, Setctty: true}
	out, err := command.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "" {
		t.Errorf("%s%v", out, err)
	}
}
