package test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/creack/pty"
)

// terminals are sessions of a client that has a terminal.
func (to target) terminals(t *testing.T) {
	t.Run("window_change_is_seen", func(t *testing.T) {
		screen := to.startOnTerminal(t, `ssh -t h 'exec sh -c "stty size; trap \"stty size; exit 4\" WINCH; echo ready; while :; do sleep 0.1; done"'`)
		screen.await(t, "30 100\r\nready")
		pty.Setsize(screen.master, &pty.Winsize{Rows: 50, Cols: 132})
		screen.await(t, "50 132")
		screen.wantExit(t, 4)
	})
	t.Run("modes_of_the_client's_terminal_pass", func(t *testing.T) {
		screen := to.startOnTerminal(t, `stty erase ^H intr ^T -ixon -echo; ssh -t h 'stty -a'`)
		screen.wantExit(t, 0)
		for _, mode := range []string{" erase = ^H;", "intr = ^T;", " -ixon", " -echo "} {
			if !strings.Contains(screen.text(), mode) {
				t.Errorf("no %q in %q", mode, screen.text())
			}
		}
	})
	t.Run("interrupt_reaches_the_foreground", func(t *testing.T) {
		screen := to.startOnTerminal(t, `ssh -t h 'exec sh -c "trap \"exit 5\" INT; echo ready; while :; do sleep 0.1; done"'`)
		screen.await(t, "ready")
		screen.typeIn(t, "\x03")
		screen.wantExit(t, 5)
	})
	t.Run("end_of_file_is_typed", func(t *testing.T) {
		screen := to.startOnTerminal(t, `ssh -t h 'echo ready; cat; echo done; exit 6'`)
		screen.await(t, "ready")
		screen.typeIn(t, "line\r\x04")
		screen.await(t, "done")
		screen.wantExit(t, 6)
	})
	t.Run("escapes_for_new_keys_and_a_break", func(t *testing.T) {
		log := filepath.Join(t.TempDir(), "ssh.log")
		screen := to.startOnTerminal(t, `ssh -v -E `+log+` h`)
		screen.typeIn(t, "echo $((6*7)) is it\r")
		screen.await(t, "42 is it")
		screen.typeIn(t, "\r~R")
		await(t, "new keys", func() bool { return strings.Count(read(t, log), "SSH2_MSG_NEWKEYS received") == 2 })
		screen.typeIn(t, "\r~B\r")
		screen.typeIn(t, "echo $((6*8)) too\r")
		screen.await(t, "48 too")
		screen.typeIn(t, "exit 7\r")
		screen.wantExit(t, 7)
	})
	t.Run("interactive_shell", func(t *testing.T) {
		screen := to.startOnTerminal(t, `ssh h`)
		screen.typeIn(t, "echo $((6*7)) is it\r")
		screen.await(t, "42 is it")
		screen.typeIn(t, "exit 7\r")
		screen.wantExit(t, 7)
	})
}

// screen is a client's terminal.
type screen struct {
	master  *os.File
	command *exec.Cmd
	ended   chan struct{}

	mu    sync.Mutex
	shown bytes.Buffer
}

func (to target) startOnTerminal(t *testing.T, script string) *screen {
	t.Helper()
	command := to.command(t, t.TempDir(), script)
	command.SysProcAttr = nil // the terminal's session takes the place of a process group
	master, err := pty.StartWithSize(command, &pty.Winsize{Rows: 30, Cols: 100})
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{master: master, command: command, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		io.Copy(s, master) // until the client hangs up
		command.Wait()
	}()
	t.Cleanup(func() {
		command.Process.Kill()
		<-s.ended
		master.Close()
	})
	return s
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.Write(p)
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()
}

func (s *screen) typeIn(t *testing.T, keys string) {
	t.Helper()
	if _, err := s.master.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

func (s *screen) await(t *testing.T, text string) {
	t.Helper()
	await(t, "the screen to show "+brief(text), func() bool {
		if strings.Contains(s.text(), text) {
			return true
		}
		if isClosed(s.ended) {
			t.Fatalf("the client ended and showed %s", brief(s.text()))
		}
		return false
	})
}

func (s *screen) wantExit(t *testing.T, status int) {
	t.Helper()
	await(t, "the client to end", func() bool { return isClosed(s.ended) })
	if got := s.command.ProcessState.ExitCode(); got != status {
		t.Errorf("exit %d, want %d; it showed %s", got, status, brief(s.text()))
	}
}
