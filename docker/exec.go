package docker

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/berth-ssh/berth/printable"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// Command is what [Start] runs in a container, in the directory /.
type Command struct {
	User string   // account or id; "": the one that the container runs as
	Env  []string // NAME=value sets a variable; NAME alone removes the container's
	Args []string
}

// Exec is a running command in a container, with its standard streams.
type Exec struct {
	In  io.Writer
	Out io.Reader // stdout; the command blocks unless it is read, or Close is called

	engine  *client.Client
	id      string
	closeIn func() error
	close   func()
	detach  func() bool

	closeOut func() error
	copied   chan struct{}        // closed at the end of the output
	said     *printable.Beginning // the beginning of everything that it printed
}

// Start runs a command in a container. When ctx ends, the streams are closed, unless
// [Exec.Detach] was called. The caller must close the Exec.
func Start(ctx context.Context, engine *client.Client, container string, command Command) (*Exec, error) {
	created, err := engine.ExecCreate(ctx, container, client.ExecCreateOptions{
		User:        command.User,
		Env:         command.Env,
		Cmd:         command.Args,
		WorkingDir:  "/",
		AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, err
	}
	attached, err := engine.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return nil, err
	}
	out, outWriter := io.Pipe()
	e := &Exec{
		In:       attached.Conn,
		Out:      out,
		engine:   engine,
		id:       created.ID,
		closeIn:  attached.CloseWrite,
		close:    attached.Close,
		detach:   context.AfterFunc(ctx, attached.Close),
		closeOut: out.Close,
		copied:   make(chan struct{}),
		said:     &printable.Beginning{},
	}
	go func() {
		defer close(e.copied)
		// The engine writes its own errors to stdout.
		_, err := stdcopy.StdCopy(io.MultiWriter(e.said, outWriter), e.said, attached.Reader)
		outWriter.CloseWithError(err)
		attached.Close() // after a failed exec the engine reads no more input, and does not say so
	}()
	return e, nil
}

// CloseIn ends the command's standard input.
func (e *Exec) CloseIn() error { return e.closeIn() }

// Close closes the streams, and returns when they are gone on this side. The command
// itself may live on.
func (e *Exec) Close() {
	e.detach()
	e.close()
	e.closeOut()
	<-e.copied
}

// Detach makes the command outlive the context that it was started with.
func (e *Exec) Detach() { e.detach() }

// PID returns the command's process number on the engine's machine. It waits until
// the engine knows it, which may be a moment after the process's first output.
func (e *Exec) PID(ctx context.Context) (int, error) {
	var pid int
	err := e.poll(ctx, func(state client.ExecInspectResult) (bool, error) {
		pid = state.PID
		if pid != 0 && !state.Running {
			return false, fmt.Errorf("process %d has ended", pid)
		}
		return pid != 0, nil
	})
	return pid, err
}

// Wait returns when the engine knows that the command has ended, which may be a
// moment after the end of its output. It returns an error if the status is not 0.
func (e *Exec) Wait(ctx context.Context) error {
	return e.poll(ctx, func(state client.ExecInspectResult) (bool, error) {
		if !state.Running && state.ExitCode != 0 {
			return false, fmt.Errorf("the command failed in the container (status %d)", state.ExitCode)
		}
		return !state.Running, nil
	})
}

// poll asks the engine about the command until isEnough is true: the engine has no
// event for it.
func (e *Exec) poll(ctx context.Context, isEnough func(client.ExecInspectResult) (bool, error)) error {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		state, err := e.engine.ExecInspect(ctx, e.id, client.ExecInspectOptions{})
		if err != nil {
			return err
		}
		if enough, err := isEnough(state); enough || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// Output runs a command without input and returns its stdout. It fails if that has
// more than limit bytes. If the command fails, the error is that of [Exec.Wait].
func Output(ctx context.Context, engine *client.Client, container string, command Command, limit int64) ([]byte, error) {
	e, err := Start(ctx, engine, container, command)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	e.CloseIn()
	out, err := io.ReadAll(io.LimitReader(e.Out, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(out)) > limit:
		return nil, fmt.Errorf("the command prints more than %d bytes", limit)
	}
	return out, e.Wait(ctx)
}

// Run runs a command without input to its end, and drops its output. If the command
// fails, the error is that of [Exec.Explain].
func Run(ctx context.Context, engine *client.Client, container string, command Command) error {
	e, err := Start(ctx, engine, container, command)
	if err != nil {
		return explain(err.Error())
	}
	defer e.Close()
	e.CloseIn()
	io.Copy(io.Discard, e.Out) // to the end; Wait returns any error
	if e.Wait(ctx) == nil {
		return nil
	}
	return e.Explain()
}
