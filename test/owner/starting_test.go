package owner

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// Who upgrades twice at the same time is told so by the second one, and the first is
// what it says that it is.
func TestAnUpgradeDuringAnUpgrade(t *testing.T) {
	dir := t.TempDir()
	installed, started, may := filepath.Join(dir, "berth-gateway"), filepath.Join(dir, "started"), filepath.Join(dir, "may")
	install(t, harness.Program("gateway"), installed)
	m := harness.StartMachineBy(t, func(_ string, args ...string) *exec.Cmd { return harness.PlainHome(installed, args...) })
	slow := filepath.Join(dir, "slow")
	harness.Write(t, slow, 0o755, "#!/bin/sh\n: >"+started+"\nuntil [ -e "+may+" ]; do sleep 0.05; done\nexec "+harness.Program("gateway")+` "$@"`+"\n")
	install(t, slow, installed)

	first := m.Gateway.Verb("upgrade")
	var said strings.Builder
	first.Stdout = &said
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the next gateway starts", func() bool { return exists(started) })
	if out, err := verb(t, m.Gateway, "upgrade"); err == nil || !strings.Contains(out, "another upgrade is under way") {
		t.Errorf("a second upgrade: %v, %q", err, out)
	}
	harness.Write(t, may, 0o600, "")
	if err := first.Wait(); err != nil {
		t.Fatal(err)
	}
	pid := upgraded(t, said.String())
	endWith(t, pid)
	m.Local.StartCat(t)
	if is := only(t, m.Gateway).PID; is != pid {
		t.Errorf("%d lets people in, and the upgrade says %d", is, pid)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// A service that is stopped before it is ready lets nobody in when it is: its gateway
// has heard what systemd has told, and is not left behind.
func TestAServiceIsStoppedWhileItStarts(t *testing.T) {
	dir := t.TempDir()
	state := harness.StateOf(dir)
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	former, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(state, "takeover.sock")})
	if err != nil {
		t.Fatal(err)
	}
	defer former.Close()
	config := filepath.Join(dir, "gateway.yaml")
	harness.Write(t, config, 0o600, "listen: "+harness.FreeAddress(t)+"\nstate: "+state+"\ndocker: none\nusers: { dev: { keys: [ "+
		harness.PublicKey(t, harness.MakeKey(t, dir, "id"))+" ], hosts: { box: } } }\nhosts: { box: { route: local } }\n")
	service := exec.Command(harness.Program("gateway"), "service", "--config", config)
	log := filepath.Join(dir, "log")
	ended := harness.StartLogged(t, service, log)

	former.SetDeadline(time.Now().Add(harness.Patience))
	next, err := former.AcceptUnix() // which waits for its socket
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	pid := peer(t, next)
	endWith(t, pid)
	service.Process.Signal(syscall.SIGTERM)
	harness.AwaitEnd(t, "the service ends", ended)
	former.Close()
	next.SetDeadline(time.Now().Add(harness.Patience))
	if _, err := next.Write([]byte{'w'}); err != nil { // the former one has none
		t.Fatal(err)
	}
	if _, err := io.ReadFull(next, make([]byte, 1)); err != nil { // it is ready
		t.Fatal(err)
	}
	if _, err := next.Write([]byte{'a'}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "it lets nobody in", func() bool { return strings.Contains(harness.Read(t, log), `"accepts no new connections"`) })
}

// peer is the process at the other end of a socket.
func peer(t *testing.T, conn *net.UnixConn) (pid int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		who, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		if err != nil {
			t.Error(err)
			return
		}
		pid = int(who.Pid)
	})
	return pid
}
