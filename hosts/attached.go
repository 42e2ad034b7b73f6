package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// maxComplaint is how much of what a failed exec prints is kept.
const maxComplaint = 4 << 10

var (
	// errNoSuchFile is the engine's word for a command that is not there.
	errNoSuchFile = errors.New("the helper is not there")

	// errSilent is an exec that ended and said nothing.
	errSilent = errors.New("the helper ended without a word")
)

// attachedExec is a running exec with its standard streams.
type attachedExec struct {
	id      string
	in      io.Writer
	out     *io.PipeReader
	closeIn func()
	close   func()
	detach  func() bool // from the context that it was started with

	copied    chan struct{} // closed when there is no more output
	complaint *limitedBuffer
}

func (d *Directory) exec(ctx context.Context, in container.InspectResponse, account string, command ...string) (*attachedExec, error) {
	created, err := d.engine.ExecCreate(ctx, in.ID, client.ExecCreateOptions{
		User:        account,
		Env:         without(in.Config.Env),
		Cmd:         command,
		WorkingDir:  "/",
		AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, err
	}
	attached, err := d.engine.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return nil, err
	}
	detach := context.AfterFunc(ctx, attached.Close)
	out, outWriter := io.Pipe()
	e := &attachedExec{
		id:        created.ID,
		in:        attached.Conn,
		out:       out,
		closeIn:   func() { attached.CloseWrite() },
		detach:    detach,
		copied:    make(chan struct{}),
		complaint: &limitedBuffer{max: maxComplaint},
	}
	e.close = func() {
		detach()
		attached.Close()
		out.Close()
		<-e.copied
	}
	go func() {
		defer close(e.copied)
		// The engine writes its own errors to stdout, too.
		_, err := stdcopy.StdCopy(io.MultiWriter(e.complaint, outWriter), e.complaint, attached.Reader)
		outWriter.CloseWithError(err)
		attached.Close() // after an exec that failed, the engine reads no input and says nothing
	}()
	return e, nil
}

// without takes out of an exec what was meant for the container's entrypoint:
// the passwords of other accounts, and what provision set. To the engine a name
// without a value is a variable that is not to be there.
func without(env []string) []string {
	var names []string
	for _, variable := range env {
		name, _, _ := strings.Cut(variable, "=")
		if strings.Contains(name, "PASSWORD") || strings.HasPrefix(name, "BERTH_") {
			names = append(names, name)
		}
	}
	return names
}

// explain says what the exec printed: there the engine says why.
func (e *attachedExec) explain() error {
	e.out.Close()
	select {
	case <-e.copied:
	case <-time.After(time.Second):
	}
	said := e.complaint.line()
	switch {
	case said == "":
		return errSilent
	case strings.Contains(said, "no such file or directory") || strings.Contains(said, "executable file not found"):
		return fmt.Errorf("%w: %s", errNoSuchFile, said)
	case strings.Contains(said, "exec format error"):
		return errors.New("its image is for another processor architecture than the gateway's")
	case tooManyProcesses(said):
		return errors.New("it has as many processes as it may have (pids limit)")
	}
	return errors.New(said)
}

// tooManyProcesses knows how the kernel's EAGAIN is told by the engine's
// runtime, by the helper's, and by a shell.
func tooManyProcesses(said string) bool {
	for _, word := range []string{"resource temporarily unavailable", "failed to create new os thread", "cannot fork", "can't fork"} {
		if strings.Contains(strings.ToLower(said), word) {
			return true
		}
	}
	return false
}

// limitedBuffer keeps the beginning of what is written to it.
type limitedBuffer struct {
	max int

	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Write(p[:min(len(p), b.max-b.buf.Len())])
	return len(p), nil
}

// line is the first line of it.
func (b *limitedBuffer) line() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	line, _, _ := strings.Cut(strings.TrimSpace(b.buf.String()), "\n")
	return strings.Join(strings.Fields(strings.ToValidUTF8(line, "?")), " ")
}
