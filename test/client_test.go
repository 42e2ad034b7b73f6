package test

import (
	"io"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// client is a script that runs in the background, with its process group.
type client struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	stdout  io.Reader
	ended   chan struct{}
	log     string // of -v, where it is asked for
}

// start starts a script whose input stays open. It is killed at the end of the
// test, or when it is clear that nothing comes of it.
func (to target) start(t *testing.T, script string, env ...string) *client {
	t.Helper()
	command := to.command(t, t.TempDir(), script, env...)
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
	c := &client{command: command, stdin: stdin, stdout: stdout, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		command.Wait()
		writer.Close()
	}()
	timeout := time.AfterFunc(scriptLimit(), c.kill)
	t.Cleanup(func() {
		timeout.Stop()
		c.kill()
		stdout.Close()
		<-c.ended
	})
	return c
}

// kill kills the client as a crash would.
func (c *client) kill() { syscall.Kill(-c.command.Process.Pid, syscall.SIGKILL) }

// wait waits until the client has ended, and returns its exit status.
func (c *client) wait(t *testing.T) int {
	t.Helper()
	await(t, "the client to end", func() bool { return isClosed(c.ended) })
	return c.command.ProcessState.ExitCode()
}
