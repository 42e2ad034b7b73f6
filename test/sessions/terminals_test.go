package sessions

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/berth-ssh/berth/test/harness"
)

// terminals are sessions of a client that has a terminal.
func terminals(t *testing.T, to harness.Target) {
	t.Run("window_change_is_seen", func(t *testing.T) {
		screen := harness.StartOnTerminal(t, to.Command(t.TempDir(), `ssh -t h 'exec sh -c "stty size; trap \"stty size; exit 4\" WINCH; echo ready; while :; do sleep 0.1; done"'`))
		screen.Await(t, "30 100\r\nready")
		pty.Setsize(screen.Master, &pty.Winsize{Rows: 50, Cols: 132})
		screen.Await(t, "50 132")
		screen.WantExit(t, 4)
	})
	t.Run("modes_of_the_client's_terminal_pass", func(t *testing.T) {
		screen := harness.StartOnTerminal(t, to.Command(t.TempDir(), `stty 9600 erase ^H intr ^T -ixon -echo; ssh -t h 'stty -a'`))
		screen.WantExit(t, 0)
		for _, mode := range []string{"speed 9600 baud;", " erase = ^H;", "intr = ^T;", " -ixon", " -echo "} {
			if !strings.Contains(screen.Text(), mode) {
				t.Errorf("no %q in %q", mode, screen.Text())
			}
		}
	})
	t.Run("interrupt_reaches_the_foreground", func(t *testing.T) {
		screen := harness.StartOnTerminal(t, to.Command(t.TempDir(), `ssh -t h 'exec sh -c "trap \"exit 5\" INT; echo ready; while :; do sleep 0.1; done"'`))
		screen.Await(t, "ready")
		screen.TypeIn(t, "\x03")
		screen.WantExit(t, 5)
	})
	t.Run("end_of_file_is_typed", func(t *testing.T) {
		screen := harness.StartOnTerminal(t, to.Command(t.TempDir(), `ssh -t h 'echo ready; cat; echo done; exit 6'`))
		screen.Await(t, "ready")
		screen.TypeIn(t, "line\r\x04")
		screen.Await(t, "done")
		screen.WantExit(t, 6)
	})
	t.Run("escapes_for_new_keys_and_a_break", func(t *testing.T) {
		log := filepath.Join(t.TempDir(), "ssh.log")
		screen := harness.StartOnTerminal(t, to.Command(t.TempDir(), `ssh -v -E `+log+` h`))
		screen.TypeIn(t, "echo $((6*7)) is it\r")
		screen.Await(t, "42 is it")
		screen.TypeIn(t, "\r~R")
		harness.Eventually(t, "new keys", func() bool { return strings.Count(harness.Read(t, log), "SSH2_MSG_NEWKEYS received") == 2 })
		screen.TypeIn(t, "\r~B\r")
		screen.TypeIn(t, "echo $((6*8)) too\r")
		screen.Await(t, "48 too")
		screen.TypeIn(t, "exit 7\r")
		screen.WantExit(t, 7)
	})
	t.Run("interactive_shell", func(t *testing.T) {
		screen := harness.StartOnTerminal(t, to.Command(t.TempDir(), `ssh h`))
		screen.TypeIn(t, "echo $((6*7)) is it\r")
		screen.Await(t, "42 is it")
		screen.TypeIn(t, "exit 7\r")
		screen.WantExit(t, 7)
	})
}
