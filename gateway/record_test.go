package gateway

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/recording"
	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
)

// recordings returns a store that records the sessions of host lab.
func recordings(t *testing.T, goOn bool) (dir string, _ func(*Server)) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "recordings")
	store, err := recording.Open(recording.Settings{Dir: dir, Hosts: []string{"lab"}, GoOn: goOn}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return dir, func(s *Server) {
		s.Recordings = store
		s.Keeper.(*keeper.Keeper).Recordings = store
	}
}

// shows writes hello to both streams, and ends with its input.
func shows(_ machine.Command, in io.Reader, out, err io.Writer) int {
	io.WriteString(out, "hello\r\n")
	io.WriteString(err, "and err\r\n")
	io.Copy(io.Discard, in)
	return 0
}

// atTerminal runs a command, at a terminal if pty is true, and returns what it
// showed.
func atTerminal(t *testing.T, client *ssh.Client, pty bool) string {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if pty {
		if err := session.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
			t.Fatal(err)
		}
	}
	out, _ := session.CombinedOutput("shows")
	return string(out)
}

func recorded(t *testing.T, dir string) (shown []string) {
	t.Helper()
	all, err := recording.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range all {
		file, err := os.Open(kept.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		var out bytes.Buffer
		if err := recording.Replay(t.Context(), file, &out, 1000, time.Millisecond); err != nil {
			t.Error(err)
		}
		shown = append(shown, out.String())
	}
	return shown
}

func TestTerminalsAreRecordedWherePeopleAreTold(t *testing.T) {
	dir, set := recordings(t, false)
	g := startGateway(t, atMachine(newFakeMachine(shows)), set)
	lab := g.enter(t, "dev+lab")
	if shown := atTerminal(t, lab, true); !strings.Contains(shown, "berth: what this terminal shows is recorded\r\n") || !strings.Contains(shown, "hello\r\n") {
		t.Errorf("shown: %q", shown)
	}
	atTerminal(t, lab, false)                   // a command without a terminal
	atTerminal(t, g.enter(t, "dev+more"), true) // a host that is not recorded
	harness.Eventually(t, "the recording is whole", func() bool {
		shown := recorded(t, dir)
		return len(shown) == 1 && strings.Contains(shown[0], "hello\r\n") && strings.Contains(shown[0], "and err\r\n")
	})
}

// The disk is full, or the directory is gone: then nobody may work without a
// recording.
func TestNobodyWorksUnrecorded(t *testing.T) {
	for _, goOn := range []bool{false, true} {
		dir, set := recordings(t, goOn)
		g := startGateway(t, atMachine(newFakeMachine(shows)), set)
		os.RemoveAll(dir)
		harness.Write(t, dir, 0o600, "")
		shown := atTerminal(t, g.enter(t, "dev+lab"), true)
		if refused := strings.Contains(shown, "what is done here is to be recorded, and that is not possible now"); refused == goOn || strings.Contains(shown, "hello") != goOn {
			t.Errorf("go on %v: shown %q", goOn, shown)
		}
	}
}
