package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"berth/helper"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/crypto/ssh"
)

const (
	// startTimeout bounds the start of a helper, its delivery included.
	startTimeout = 30 * time.Second

	// maxComplaint is how much of what a failed exec prints is kept.
	maxComplaint = 4 << 10
)

// openExec opens a container, as an account of it; "" is the one that the
// container itself runs as.
func (d *Directory) openExec(ctx context.Context, host Host, account string, env []string) (Route, error) {
	found, err := d.running(ctx, host)
	if err != nil {
		return Route{}, err
	}
	opened, err := d.helpers.open(ctx, helperKey{host.Container, account}, env, func() (*helper.Client, error) {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		return d.startHelper(ctx, found, account)
	})
	switch {
	case err == nil && opened.Machine != nil:
		return Route{Machine: opened.Machine}, nil
	case err == nil:
		return Route{Sshd: &Sshd{Conn: opened.Server, Host: host.Name, HostKeys: []ssh.PublicKey{opened.HostKey}, IsOpen: true, Patience: brief}}, nil
	}
	if _, gone := d.running(ctx, host); gone != nil { // meanwhile
		return Route{}, gone
	}
	if errors.Is(err, errSilent) { // the engine may not have noticed yet
		return Route{}, soon(unreachable(host.Name, "ends whatever is started in it: see docker logs "+found.Name[1:], err), patience(found))
	}
	return Route{}, unreachable(host.Name, fmt.Sprintf("cannot be entered%s: %v", as(account), err), nil)
}

func as(account string) string {
	if account == "" {
		return ""
	}
	return " as " + account
}

// startHelper starts the helper as the account: from the mount that provision
// made, or else from a file that is written through an exec and removes itself.
func (d *Directory) startHelper(ctx context.Context, found container.InspectResponse, account string) (*helper.Client, error) {
	if mounted(found.Mounts) {
		command := []string{path.Join(HelperMount, d.self.name), "helper", "run"}
		if d.meetings != nil {
			command = append(command, "--socket", path.Join(HelperMount, d.meetings.Name()))
		}
		started, err := d.execHelper(ctx, found, account, command...)
		if err == nil || !errors.Is(err, errNoSuchFile) {
			return started, err
		}
	}
	written, err := d.writeHelper(ctx, found, account)
	if err != nil {
		return nil, err
	}
	return d.execHelper(ctx, found, account, written, "helper", "run", "--remove-self")
}

func mounted(mounts []container.MountPoint) bool {
	return slices.ContainsFunc(mounts, func(m container.MountPoint) bool {
		return m.Destination == HelperMount && !m.RW
	})
}

// How a helper hands out what happens in a container (see package helper).
const (
	ByDescriptors = "descriptors"
	ByStreams     = "streams"
)

// ExecBy is how a container by route exec is entered by a gateway that runs
// where this process does, as the same user.
func ExecBy(engine *client.Client, mounts []container.MountPoint) string {
	if IsLocal(engine) && (mounted(mounts) || os.Geteuid() == 0) {
		return ByDescriptors
	}
	return ByStreams
}

var (
	// errNoSuchFile is the engine's word for a command that is not there.
	errNoSuchFile = errors.New("the helper is not there")

	// errSilent is an exec that ended and said nothing.
	errSilent = errors.New("the helper ended without a word")
)

// execHelper runs a helper and meets it.
func (d *Directory) execHelper(ctx context.Context, in container.InspectResponse, account string, command ...string) (*helper.Client, error) {
	exec, err := d.exec(ctx, in, account, command...)
	if err != nil {
		return nil, err
	}
	started := helper.Started{In: exec.in, Out: exec.out, Close: exec.close}
	if IsLocal(d.engine) {
		started.PID = func() (int, error) { return d.pidOf(ctx, exec.id) }
	}
	met, err := d.meetings.Meet(started)
	if errors.Is(err, helper.ErrNotStarted) {
		return nil, exec.explain()
	}
	exec.detach()
	return met, err
}

// pidOf is the process of an exec. The engine learns it a moment after the
// process may have said its first word.
func (d *Directory) pidOf(ctx context.Context, execID string) (int, error) {
	for {
		result, err := d.engine.ExecInspect(ctx, execID, client.ExecInspectOptions{})
		switch {
		case err != nil:
			return 0, err
		case result.Running && result.PID != 0:
			return result.PID, nil
		case result.PID != 0:
			return 0, errors.New("the helper has ended")
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// writeScript writes standard input, of which the size is given, to a file that
// the account may execute, where it finds a directory that lets it, and prints
// its path.
const writeScript = `umask 077
for parent in /run /var/tmp /tmp /dev/shm "$HOME" /; do
	dir=$(mktemp -d "$parent/.berth-XXXXXX" 2>/dev/null) || continue
	if printf '#!/bin/sh\n' >"$dir/try" && chmod 700 "$dir/try" && "$dir/try" 2>/dev/null; then
		rm -f "$dir/try"
		cat >"$dir/helper" && [ "$(wc -c <"$dir/helper")" -eq "$1" ] && chmod 700 "$dir/helper" && echo "$dir/helper" && exit 0
		rm -rf "$dir"
		exit 1 # what was read is gone
	fi
	rm -rf "$dir"
done
echo 'no directory to put an executable file in' >&2
exit 1`

// writeHelper writes this program into a container over an exec's standard
// input: never through the archive API, which follows the container's own
// links (CVE-2026-41567 and kin).
func (d *Directory) writeHelper(ctx context.Context, in container.InspectResponse, account string) (string, error) {
	file, err := os.Open(selfPath)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	exec, err := d.exec(ctx, in, account, "sh", "-c", writeScript, "sh", strconv.FormatInt(info.Size(), 10))
	if err != nil {
		return "", err
	}
	defer exec.close()
	sent := make(chan struct{})
	go func() { // an exec that failed takes no input, and says why meanwhile
		defer close(sent)
		io.Copy(exec.in, file)
		exec.closeIn()
	}()
	line, err := io.ReadAll(io.LimitReader(exec.out, maxComplaint))
	exec.close()
	<-sent
	written := strings.TrimSpace(string(line))
	if err == nil && path.IsAbs(written) {
		return written, nil
	}
	err = exec.explain()
	if errors.Is(err, errNoSuchFile) {
		return "", errors.New("its image has no sh to bring the helper in with; provision would mount it")
	}
	return "", err
}

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
