package sessions

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"

	"berth/test/harness"
)

// terminals are sessions of a client that has a terminal.
func terminals(t *testing.T, to harness.Target) {
	t.Run("window_change_is_seen", func(t *testing.T) {
		screen := startOnTerminal(t, to, `ssh -t h 'exec sh -c "stty size; trap \"stty size; exit 4\" WINCH; echo ready; while :; do sleep 0.1; done"'`)
		screen.await(t, "30 100\r\nready")
		pty.Setsize(screen.master, &pty.Winsize{Rows: 50, Cols: 132})
		screen.await(t, "50 132")
		screen.wantExit(t, 4)
	})
	t.Run("modes_of_the_client's_terminal_pass", func(t *testing.T) {
		screen := startOnTerminal(t, to, `stty erase ^H intr ^T -ixon -echo; ssh -t h 'stty -a'`)
		screen.wantExit(t, 0)
		for _, mode := range []string{" erase = ^H;", "intr = ^T;", " -ixon", " -echo "} {
			if !strings.Contains(screen.text(), mode) {
				t.Errorf("no %q in %q", mode, screen.text())
			}
		}
	})
	t.Run("interrupt_reaches_the_foreground", func(t *testing.T) {
		screen := startOnTerminal(t, to, `ssh -t h 'exec sh -c "trap \"exit 5\" INT; echo ready; while :; do sleep 0.1; done"'`)
		screen.await(t, "ready")
		screen.typeIn(t, "\x03")
		screen.wantExit(t, 5)
	})
	t.Run("end_of_file_is_typed", func(t *testing.T) {
		screen := startOnTerminal(t, to, `ssh -t h 'echo ready; cat; echo done; exit 6'`)
		screen.await(t, "ready")
		screen.typeIn(t, "line\r\x04")
		screen.await(t, "done")
		screen.wantExit(t, 6)
	})
	t.Run("escapes_for_new_keys_and_a_break", func(t *testing.T) {
		log := filepath.Join(t.TempDir(), "ssh.log")
		screen := startOnTerminal(t, to, `ssh -v -E `+log+` h`)
		screen.typeIn(t, "echo $((6*7)) is it\r")
		screen.await(t, "42 is it")
		screen.typeIn(t, "\r~R")
		harness.Eventually(t, "new keys", func() bool { return strings.Count(harness.Read(t, log), "SSH2_MSG_NEWKEYS received") == 2 })
		screen.typeIn(t, "\r~B\r")
		screen.typeIn(t, "echo $((6*8)) too\r")
		screen.await(t, "48 too")
		screen.typeIn(t, "exit 7\r")
		screen.wantExit(t, 7)
	})
	t.Run("interactive_shell", func(t *testing.T) {
		screen := startOnTerminal(t, to, `ssh h`)
		screen.typeIn(t, "echo $((6*7)) is it\r")
		screen.await(t, "42 is it")
		screen.typeIn(t, "exit 7\r")
		screen.wantExit(t, 7)
	})
}
