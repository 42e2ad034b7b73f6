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
	// ErrNoSuchFile is about a command that is not in the container.
	ErrNoSuchFile = errors.New("the command is not there")

	// ErrNoAccount is about a command that was to run as an account that is not there.
	ErrNoAccount = errors.New("there is no such account")

	// ErrSilent is about a command that ended and said nothing.
	ErrSilent = errors.New("the command ended without a word")
)

// Refuses reports whether a call to an engine failed because the caller may not ask it: the
// socket is not theirs, ssh does not let them in, or the engine or a proxy before it says so.
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

// explainTimeout bounds the wait for the last words of a command that failed.
const explainTimeout = time.Second

// Explain says why a command failed, by what was printed: there the engine and
// its runtime say it, too. It takes the output away from whoever reads it. It
// waits for the end of the output for a second at most.
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

// tooManyProcesses knows how the kernel's EAGAIN is told by the engine's
// runtime, by Go's, and by a shell.
func tooManyProcesses(said string) bool {
	for _, word := range []string{"resource temporarily unavailable", "failed to create new os thread", "cannot fork", "can't fork"} {
		if strings.Contains(strings.ToLower(said), word) {
			return true
		}
	}
	return false
}
