package docker

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

var (
	// ErrNoSuchFile is the error for a command that the container does not have.
	ErrNoSuchFile = errors.New("the command is not there")

	// ErrNoAccount is the error for a command with an account that does not exist.
	ErrNoAccount = errors.New("there is no such account")

	// ErrSilent is the error for a command that ended without output.
	ErrSilent = errors.New("the command ended without a word")
)

// Refuses reports whether a call failed because the caller is not allowed to make it:
// by the socket's permissions, by ssh, by the engine, or by a proxy before it.
func Refuses(err error) bool {
	var byLink *LinkError
	switch {
	case errdefs.IsPermissionDenied(err), errdefs.IsUnauthorized(err):
		return true
	case errors.As(err, &byLink), client.IsErrConnectionFailed(err):
		return strings.Contains(strings.ToLower(err.Error()), "permission denied") // the client hides the cause's type
	}
	return false
}

// explainTimeout is how long Explain waits for the last output of a failed command.
const explainTimeout = time.Second

// Explain returns why a command failed, by its output, in which the engine and its
// runtime also report their errors. No other code can read the output afterwards. It
// waits for the end of the output, for at most a second.
func (e *Exec) Explain() error {
	e.closeOut()
	select {
	case <-e.copied:
	case <-time.After(explainTimeout):
	}
	return explain(e.said.Line())
}

func explain(said string) error {
	switch {
	case said == "":
		return ErrSilent
	case strings.Contains(said, "no such file or directory") || strings.Contains(said, "executable file not found"):
		return fmt.Errorf("%w: %s", ErrNoSuchFile, said)
	case strings.Contains(said, "unable to find user "):
		return ErrNoAccount
	case strings.Contains(said, "exec format error"):
		return errors.New("its image is for another processor architecture than the gateway's")
	case tooManyProcesses(said):
		return errors.New("it has as many processes as it may have (pids limit)")
	}
	return errors.New(said)
}

// tooManyProcesses reports whether a text is one of those by which the engine's
// runtime, Go's, or a shell report the kernel's EAGAIN.
func tooManyProcesses(said string) bool {
	for _, word := range []string{"resource temporarily unavailable", "failed to create new os thread", "cannot fork", "can't fork"} {
		if strings.Contains(strings.ToLower(said), word) {
			return true
		}
	}
	return false
}
