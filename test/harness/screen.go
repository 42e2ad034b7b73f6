package harness

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/creack/pty"
)

// Screen is a program's terminal.
type Screen struct {
	Master  *os.File
	command *exec.Cmd
	ended   chan struct{}
	seen    int // bytes of the output; used by AwaitNext

	mu    sync.Mutex
	shown bytes.Buffer
}

// StartOnTerminal starts a program on a terminal of 30 rows and 100 columns. It is
// killed when the test ends.
func StartOnTerminal(t *testing.T, command *exec.Cmd) *Screen {
	t.Helper()
	command.SysProcAttr = nil // the terminal's session takes the place of a process group
	master, err := pty.StartWithSize(command, &pty.Winsize{Rows: 30, Cols: 100})
	if err != nil {
		t.Fatal(err)
	}
	s := &Screen{Master: master, command: command, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		io.Copy(s, master) // until the program hangs up
		command.Wait()
	}()
	t.Cleanup(func() {
		command.Process.Kill()
		<-s.ended
		master.Close()
	})
	return s
}

// Write adds output of the program.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.Write(p)
}

// Text returns everything that was shown.
func (s *Screen) Text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()
}

// TypeIn types keys.
func (s *Screen) TypeIn(t *testing.T, keys string) {
	t.Helper()
	if _, err := s.Master.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// Await waits until the screen shows a text.
func (s *Screen) Await(t *testing.T, text string) {
	t.Helper()
	s.awaitAfter(t, 0, text)
}

// AwaitNext waits until the screen shows a text after the one of the last AwaitNext.
func (s *Screen) AwaitNext(t *testing.T, text string) {
	t.Helper()
	s.seen = s.awaitAfter(t, s.seen, text)
}

// awaitAfter waits for a text after the first seen bytes, and returns its end.
func (s *Screen) awaitAfter(t *testing.T, seen int, text string) int {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("the screen shows %s", s.Text())
		}
	}()
	Eventually(t, "the screen to show "+Brief(text), func() bool {
		if strings.Contains(s.Text()[seen:], text) {
			return true
		}
		if IsClosed(s.ended) {
			t.Fatalf("the program ended and showed %s", Brief(s.Text()))
		}
		return false
	})
	return seen + strings.Index(s.Text()[seen:], text) + len(text)
}

// WantExit waits until the program has ended, and checks its status.
func (s *Screen) WantExit(t *testing.T, status int) {
	t.Helper()
	Eventually(t, "the program to end", func() bool { return IsClosed(s.ended) })
	if got := s.command.ProcessState.ExitCode(); got != status {
		t.Errorf("exit %d, want %d; it showed %s", got, status, Brief(s.Text()))
	}
}
