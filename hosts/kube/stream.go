package kube

import (
	"context"
	"errors"
	"io"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/berth-ssh/berth/kubernetes"
	"github.com/berth-ssh/berth/printable"
)

// stream is a running command in a container, with its standard streams.
type stream struct {
	In  *io.PipeWriter
	Out *io.PipeReader // stdout; the command blocks unless it is read, or Close is called

	said  *printable.Beginning // the beginning of stderr, which is always read
	end   context.CancelCauseFunc
	ended chan struct{} // closed when nothing of it is left on this side
	err   error         // how it ended; valid once ended is closed
}

// start runs a command in a container until ctx ends. The caller closes the stream. It
// does not wait: a command that cannot be run ends without output, and [stream.why]
// says why.
func (s *Source) start(ctx context.Context, f found, command ...string) *stream {
	in, inWriter := io.Pipe()
	outReader, out := io.Pipe()
	ctx, end := context.WithCancelCause(ctx)
	x := &stream{In: inWriter, Out: outReader, said: &printable.Beginning{}, end: end, ended: make(chan struct{})}
	go func() {
		defer close(x.ended)
		x.err = s.stream(ctx, f, command, remotecommand.StreamOptions{Stdin: in, Stdout: out, Stderr: x.said})
		if cause := context.Cause(ctx); cause != nil {
			x.err = cause
		}
		in.CloseWithError(io.ErrClosedPipe)
		out.CloseWithError(io.EOF)
		end(nil)
	}()
	return x
}

// stream carries a command's streams until it ends.
func (s *Source) stream(ctx context.Context, f found, command []string, streams remotecommand.StreamOptions) error {
	url := s.api.of(f, "exec").VersionedParams(&corev1.PodExecOptions{
		Container: f.container, Command: command, Stdin: true, Stdout: true, Stderr: true,
	}, s.api.parameters).URL()
	return kubernetes.Exec(ctx, s.api.as(f.person), url, streams)
}

// Close ends the streams, and returns when nothing of them is left here. The command
// itself may live on.
func (x *stream) Close() {
	x.end(errors.New("it was let go of"))
	x.Out.Close()
	x.In.Close()
	<-x.ended
}
