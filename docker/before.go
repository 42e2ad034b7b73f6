package docker

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/printable"
)

const (
	stopTakes     = 2 * time.Minute  // from the signal to the end, at most, to count as its reason
	endTakes      = 10 * time.Second // from a kill for want of memory to the end that it caused
	maxLinesSince = 1000             // lines of log of the present run, behind which the last one's are found
	maxLogSince   = 1 << 20          // bytes
)

// EndBefore returns when the previous run of a container ended; the zero time if the
// container does not run, or runs for the first time.
func EndBefore(c container.InspectResponse) time.Time {
	if c.State == nil || !c.State.Running || c.State.Restarting {
		return time.Time{}
	}
	return timeOf(c.State.FinishedAt)
}

// WhyEndedBefore returns why the previous run ended, as [WhyEnded] does for a
// container that has ended. The engine keeps less about it; the zero value says that
// the reason is no longer known. It asks the engine for up to 3 seconds.
func WhyEndedBefore(ctx context.Context, engine *client.Client, c container.InspectResponse) Ending {
	end := EndBefore(c)
	if end.IsZero() {
		return Ending{}
	}
	ctx, cancel := context.WithTimeout(ctx, whyTimeout)
	defer cancel()
	run, found := runBefore(ctx, engine, c, end)
	if IsLocal(engine) {
		found.kernel = readKernelLog(kernelLog)
	}
	if killed := killedIn(found.kernel, c.ID, end.Add(-endTakes), end.Add(time.Second)); run.State.Status == "" && killed == "" {
		return Ending{}
	}
	return found.ending(run)
}

// runBefore returns the container as it was when its previous run ended, as far as
// the engine remembers: without a status if it does not.
func runBefore(ctx context.Context, engine *client.Client, c container.InspectResponse, end time.Time) (container.InspectResponse, evidence) {
	was := c
	was.State = &container.State{StartedAt: end.Add(-endTakes).Format(time.RFC3339Nano), FinishedAt: c.State.FinishedAt, ExitCode: -1}
	ctx, cancel := context.WithCancel(ctx) // its end stops the stream of events
	defer cancel()
	told := engine.Events(ctx, client.EventsListOptions{
		Since: unixTime(end.Add(-stopTakes)), Until: unixTime(end.Add(2 * time.Second)),
		Filters: make(client.Filters).Add("container", c.ID),
	})
	var asked []string
	killed := false
	found := evidence{lastLine: lastLineUntil(ctx, engine, c, end)}
	for {
		select {
		case m := <-told.Messages:
			switch m.Action {
			case events.ActionStart:
				asked, killed = nil, false
			case events.ActionKill:
				asked = append(asked, signalText(m.Actor.Attributes["signal"]))
			case events.ActionOOM:
				killed = true
			case events.ActionDie:
				code, err := strconv.Atoi(m.Actor.Attributes["exitCode"])
				if err != nil {
					continue
				}
				was.State.Status, was.State.ExitCode, was.State.OOMKilled, found.asked = container.StateExited, code, killed, asked
			}
		case <-told.Err: // io.EOF after the last one
			return was, found
		}
	}
}

// lastLineUntil returns the last line that a container had written before a time,
// made safe to show; "" if it wrote none, or too much since.
func lastLineUntil(ctx context.Context, engine *client.Client, c container.InspectResponse, until time.Time) string {
	logs, err := engine.ContainerLogs(ctx, c.ID, client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(maxLinesSince), Until: unixTime(until),
	})
	if err != nil {
		return ""
	}
	defer logs.Close()
	last := lastLine{}
	some := io.LimitReader(logs, maxLogSince)
	if c.Config != nil && c.Config.Tty {
		_, err = io.Copy(&last, some)
	} else {
		_, err = stdcopy.StdCopy(&last, &last, some)
	}
	if err != nil {
		return ""
	}
	return printable.Line(last.text.String(), maxLastLine)
}

// lastLine keeps the last line that is written to it, up to [maxLastWords].
type lastLine struct {
	text  strings.Builder
	whole bool // the next byte begins another line
}

func (l *lastLine) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if l.whole {
			l.text.Reset()
		}
		l.text.WriteString(line[:min(len(line), maxLastWords-l.text.Len())])
		l.whole = strings.HasSuffix(line, "\n")
	}
	return len(p), nil
}
