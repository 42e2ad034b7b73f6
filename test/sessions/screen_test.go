package sessions

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/creack/pty"

	"berth/test/harness"
)

// screen is a client's terminal.
type screen struct {
	master  *os.File
	command *exec.Cmd
	ended   chan struct{}

	mu    sync.Mutex
	shown bytes.Buffer
}

func startOnTerminal(t *testing.T, to harness.Target, script string) *screen {
	t.Helper()
	command := to.Command(t.TempDir(), script)
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
	harness.Eventually(t, "the screen to show "+harness.Brief(text), func() bool {
		if strings.Contains(s.text(), text) {
			return true
		}
		if harness.IsClosed(s.ended) {
			t.Fatalf("the client ended and showed %s", harness.Brief(s.text()))
		}
		return false
	})
}

func (s *screen) wantExit(t *testing.T, status int) {
	t.Helper()
	harness.Eventually(t, "the client to end", func() bool { return harness.IsClosed(s.ended) })
	if got := s.command.ProcessState.ExitCode(); got != status {
		t.Errorf("exit %d, want %d; it showed %s", got, status, harness.Brief(s.text()))
	}
}
