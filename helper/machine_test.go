package helper

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/test/harness"
)

func start(t *testing.T, on machine.Machine, line string, pty *machine.Pty) *machine.Process {
	t.Helper()
	process, err := on.Start(machine.Command{Kind: machine.Exec, Line: line, Pty: pty})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Signal("KILL")
		process.Close()
		select {
		case <-process.Exit:
		case <-time.After(harness.Patience):
			t.Error("it lives on")
		}
	})
	return process
}

func wantExit(t *testing.T, process *machine.Process, words string) {
	t.Helper()
	select {
	case exit := <-process.Exit:
		if !strings.Contains(exit.Request+" "+string(exit.Payload), words) {
			t.Errorf("ended with %q, want %q", exit, words)
		}
	case <-time.After(harness.Patience):
		t.Fatal("it does not end")
	}
}

func TestEveryByteComesAndTheLastOnesToo(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		sent := make([]byte, 9<<20+7)
		rand.Read(sent)
		process := start(t, on, "cat; cat >&2; exit 3", nil)
		go func() {
			process.Stdin.Write(sent)
			process.Stdin.Close()
		}()
		harness.Within(t, "output", func() {
			if got, err := io.ReadAll(process.Stdout); !bytes.Equal(got, sent) || err != nil {
				t.Errorf("%d of %d bytes came back, %v", len(got), len(sent), err)
			}
			if got, err := io.ReadAll(process.Stderr); len(got) != 0 || err != nil {
				t.Errorf("stderr: %q, %v", got, err)
			}
		})
		wantExit(t, process, "\x03")
	})
}

// A process that reads no input can still be signalled, and blocks no other process.
func TestAStalledInputStopsNothingElse(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		stalled := start(t, on, "sleep 60", nil)
		var wrote = make(chan error, 1)
		go func() {
			_, err := stalled.Stdin.Write(make([]byte, 64<<20))
			wrote <- err
		}()
		other := start(t, on, "cat", nil)
		harness.Within(t, "another process", func() {
			sent := make([]byte, 5<<20)
			go func() {
				other.Stdin.Write(sent)
				other.Stdin.Close()
			}()
			if got, err := io.ReadAll(other.Stdout); len(got) != len(sent) || err != nil {
				t.Errorf("%d of %d bytes came back, %v", len(got), len(sent), err)
			}
		})
		select {
		case err := <-wrote:
			t.Fatalf("64 MiB went to a process that reads nothing: %v", err)
		default:
		}
		stalled.Signal("KILL")
		wantExit(t, stalled, "KILL")
		stalled.Close()
		harness.Within(t, "a write to a process that was let go of", func() { <-wrote })
	})
}

func TestAReaderThatGoesAwayIsTold(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		process := start(t, on, "exec yes", nil)
		process.Stdout.Read(make([]byte, 100))
		process.Stdout.Close()
		wantExit(t, process, "PIPE")
	})
}

func TestInputThatNobodyTakesEnds(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		process := start(t, on, "exec <&-; echo closed; sleep 60", nil)
		process.Stdout.Read(make([]byte, 100))
		harness.Within(t, "a write", func() {
			for {
				if _, err := process.Stdin.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		})
	})
}

func TestATerminalIsResizedAndGetsBreaks(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		line := `trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.05; done`
		process := start(t, on, line, &machine.Pty{Term: "xterm", Size: machine.Size{Columns: 80, Rows: 24}})
		process.Stdout.Read(make([]byte, 100))
		if err := errors.Join(process.Break(), process.Resize(machine.Size{Columns: 91, Rows: 17})); err != nil {
			t.Fatal(err)
		}
		harness.Within(t, "output", func() {
			if said, err := io.ReadAll(process.Stdout); !strings.Contains(string(said), "17 91") {
				t.Errorf("said %q, %v", said, err)
			}
		})
		wantExit(t, process, "\x04")
	})
}

// The end of a terminal's output does not wait for background processes that hold it
// open.
func TestATerminalsOutputEndsWithItsCommand(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		process := start(t, on, `trap "" HUP; (sleep 30; echo late) & echo now; exit 5`, &machine.Pty{})
		harness.Within(t, "output", func() {
			if said, _ := io.ReadAll(process.Stdout); string(said) != "now\r\n" {
				t.Errorf("said %q", said)
			}
		})
		wantExit(t, process, "\x05")
	})
}

// connect returns both ends of a connection into a machine.
func connect(t *testing.T, on machine.Machine) (near net.Conn, server *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err = on.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	far.SetDeadline(time.Now().Add(harness.Patience))
	return near, far.(*net.TCPConn)
}

func TestAConnectionIsClosedByEitherSide(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		near, server := connect(t, on)
		server.Close()
		harness.Within(t, "a write to a closed connection", func() {
			for {
				if _, err := near.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		})
		near, server = connect(t, on)
		near.Close()
		for {
			if _, err := server.Write(make([]byte, 1<<20)); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("the server is not told that nobody reads")
				}
				break
			}
		}
	})
}

func TestAConnectionIsHalfClosed(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		near, server := connect(t, on)
		io.WriteString(near, "question")
		near.(interface{ CloseWrite() error }).CloseWrite()
		if asked, err := io.ReadAll(server); string(asked) != "question" || err != nil {
			t.Errorf("asked %q, %v", asked, err)
		}
		io.WriteString(server, "answer")
		server.Close()
		harness.Within(t, "the answer", func() {
			if answered, err := io.ReadAll(near); string(answered) != "answer" || err != nil {
				t.Errorf("answered %q, %v", answered, err)
			}
		})
	})
}

func TestAListenerTellsWhoArrives(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		listener, err := on.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		caller, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer caller.Close()
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got, want := conn.RemoteAddr().String(), caller.LocalAddr().String(); got != want {
			t.Errorf("%s called, not %s", want, got)
		}
	})
}

// Closing a listener also closes the connections that arrived and were not accepted.
func TestAListenerThatIsClosedKeepsNobody(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		listener, err := on.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		caller, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer caller.Close()
		listener.Close()
		caller.SetDeadline(time.Now().Add(harness.Patience))
		if _, err := caller.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the caller waits: %v", err)
		}
		if conn, err := listener.Accept(); err == nil {
			conn.Close()
			t.Error("a closed listener accepts")
		}
	})
}

// When a connection of a person ends, all that it held is released, and so it is when
// its gateway is gone.
func TestALostGatewayHangsUp(t *testing.T) {
	for name, end := range map[string]func(*Client, machine.Machine){
		"the connection": func(_ *Client, on machine.Machine) { on.Close() },
		"the gateway":    func(c *Client, _ machine.Machine) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			client := meetInProcess(t, nil, "", nil)
			on := openMachine(t, client)
			hungUp := filepath.Join(t.TempDir(), "hung-up")
			process := start(t, on, "trap 'touch "+hungUp+"; exit' HUP; echo ready; sleep 60 & wait", &machine.Pty{})
			process.Stdout.Read(make([]byte, 100))
			end(client, on)
			harness.Eventually(t, "its command is told (SIGHUP)", func() bool {
				_, err := os.Stat(hungUp)
				return err == nil
			})
		})
	}
}

func TestAProcessRuns(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		process, err := on.Start(machine.Command{
			Kind: machine.Exec, Line: `echo "$GREETING"; exit 7`, Env: []string{"GREETING=hello"},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer process.Close()
		out, err := io.ReadAll(process.Stdout)
		if string(out) != "hello\n" || err != nil {
			t.Errorf("said %q, %v", out, err)
		}
		if exit := <-process.Exit; exit.Request != "exit-status" || string(exit.Payload) != "\x00\x00\x00\x07" {
			t.Errorf("ended with %q", exit)
		}
	})
}

func TestAPtyHangsUpWithItsMaster(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		hungUp := filepath.Join(t.TempDir(), "hung-up")
		process, err := on.Start(machine.Command{
			Kind: machine.Exec, Line: "trap 'touch " + hungUp + "; exit' HUP; stty size; sleep 60 & wait",
			Pty: &machine.Pty{Term: "xterm", Size: machine.Size{Columns: 91, Rows: 17}},
		})
		if err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 64)
		if n, err := process.Stdout.Read(line); !strings.HasPrefix(string(line[:n]), "17 91") {
			t.Errorf("size is %q, %v", line[:n], err)
		}
		process.Close()
		harness.Eventually(t, "its command is told (SIGHUP)", func() bool {
			_, err := os.Stat(hungUp)
			return err == nil
		})
	})
}

func TestSignalsReachTheProcess(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		process, err := on.Start(machine.Command{
			Kind: machine.Exec, Line: "sleep 60", Pty: &machine.Pty{},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer process.Close()
		if err := process.Signal("TERM"); err != nil {
			t.Fatal(err)
		}
		if exit := <-process.Exit; exit.Request != "exit-signal" || !strings.Contains(string(exit.Payload), "TERM") {
			t.Errorf("ended with %q", exit)
		}
	})
}

func TestDialAndListenAreTheMachines(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		for _, network := range []string{"tcp", "unix"} {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "socket")
			}
			listener, err := on.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := on.Dial(network, listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			accepted, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			conn.Write([]byte("ping"))
			conn.Close()
			if got, err := io.ReadAll(accepted); string(got) != "ping" {
				t.Errorf("%s: got %q, %v", network, got, err)
			}
			accepted.Close()
			listener.Close()
		}
		if _, err := on.Dial("tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("nobody there: %v", err)
		}
	})
}

func TestTheAgentsSocketIsPrivateAndGoesAway(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		listener, err := on.Listen("unix", "")
		if err != nil {
			t.Fatal(err)
		}
		path := listener.Addr().String()
		if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("its directory: %v, %v", info, err)
		}
		listener.Close()
		harness.Eventually(t, "the socket's directory is removed", func() bool {
			_, err := os.Stat(filepath.Dir(path))
			return errors.Is(err, os.ErrNotExist)
		})
	})
}

func TestClosingAMachineRemovesItsSockets(t *testing.T) {
	byEachWay(t, func(t *testing.T, on machine.Machine) {
		path := filepath.Join(t.TempDir(), "socket")
		if _, err := on.Listen("unix", path); err != nil {
			t.Fatal(err)
		}
		on.Close()
		harness.Eventually(t, "the socket is removed", func() bool {
			_, err := os.Stat(path)
			return errors.Is(err, os.ErrNotExist)
		})
	})
}
