package harness

import (
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Client is a client in the background, with its process group.
type Client struct {
	Command *exec.Cmd
	Stdin   io.WriteCloser
	Stdout  io.Reader
	Ended   chan struct{} // closed when it has ended
	log     string        // path of the output of ssh -v, if there is any
}

// Start starts a client, whose input stays open. The client is killed when the test
// ends, or after ScriptLimit.
func (to Target) Start(t *testing.T, script string, env ...string) *Client {
	t.Helper()
	command := to.Command(t.TempDir(), script, env...)
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, writer := io.Pipe()
	command.Stdout = writer
	command.WaitDelay = time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	c := &Client{Command: command, Stdin: stdin, Stdout: stdout, Ended: make(chan struct{})}
	go func() {
		defer close(c.Ended)
		command.Wait()
		writer.Close()
	}()
	timeout := time.AfterFunc(ScriptLimit(), c.Kill)
	t.Cleanup(func() {
		timeout.Stop()
		c.Kill()
		stdout.Close()
		<-c.Ended
	})
	return c
}

// Kill kills the client as a crash would.
func (c *Client) Kill() { syscall.Kill(-c.Command.Process.Pid, syscall.SIGKILL) }

// Wait waits until the client has ended, and returns its exit status.
func (c *Client) Wait(t *testing.T) int {
	t.Helper()
	AwaitEnd(t, "the client ends", c.Ended)
	return c.Command.ProcessState.ExitCode()
}

// ReadLine reads the next line that the client prints.
func (c *Client) ReadLine(t *testing.T) string {
	t.Helper()
	var line strings.Builder
	for b := make([]byte, 1); ; line.Write(b) {
		if _, err := io.ReadFull(c.Stdout, b); err != nil { // bounded by the life of the client
			t.Fatalf("the client printed %q, and then %v", line.String(), err)
		}
		if b[0] == '\n' {
			return line.String()
		}
	}
}

// StartCat starts a session that repeats its input.
func (to Target) StartCat(t *testing.T) *Client {
	t.Helper()
	session := to.Start(t, "exec ssh h cat")
	session.WantLine(t, "hello")
	return session
}

// WantLine writes a line to a session of StartCat, and expects it back.
func (c *Client) WantLine(t *testing.T, line string) {
	t.Helper()
	io.WriteString(c.Stdin, line+"\n")
	if got := c.ReadLine(t); got != line {
		t.Errorf("got %q, want %q", got, line)
	}
}
