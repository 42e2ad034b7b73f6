package apply

import (
	"context"
	"io"
	"time"

	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/printable"
)

const (
	tellTimeout = 3 * time.Second // so that a terminal that takes nothing blocks nobody for long
	maxTold     = 500             // runes
)

// toTerminals is a script that writes its argument to every terminal of the
// container.
const toTerminals = `for t in /dev/pts/[0-9]*; do [ -c "$t" ] && printf '\r\n%s\r\n' "$1" >"$t"; done`

// Tell writes a line to the terminals of the people who are on a container. It does
// nothing if the container has no shell or no terminals.
func (e *Executor) Tell(ctx context.Context, id, line string) {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	command := []string{"sh", "-c", toTerminals, "sh", printable.Line(line, maxTold)}
	created, err := e.API.ExecCreate(ctx, id, client.ExecCreateOptions{Cmd: command, User: "0", AttachStdout: true})
	if err != nil {
		return
	}
	attached, err := e.API.ExecAttach(ctx, created.ID, client.ExecAttachOptions{})
	if err != nil {
		return
	}
	defer attached.Close()
	context.AfterFunc(ctx, attached.Close)
	io.Copy(io.Discard, attached.Reader) // until it ends
}
