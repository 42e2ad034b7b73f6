package docker

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/printable"
)

// EndKind is the kind of end of a container's last run.
type EndKind string

const (
	NotEnded   EndKind = ""            // it runs, or never has, and nothing is known against it
	NotStarted EndKind = "not started" // the engine could not start it
	OutOfMem   EndKind = "memory"      // the kernel killed it at its limit
	Stopped    EndKind = "stopped"     // somebody stopped or killed it by the engine
	Done       EndKind = "done"        // its command ended with code 0
	Failed     EndKind = "failed"      // its command ended otherwise
)

// Ending is how a container's last run ended: its kind, and a line for people that is
// safe to show, such as "its command ended with code 1: no such file".
type Ending struct {
	Kind EndKind
	Text string
}

// IsFault reports whether it ended by a fault, not because somebody stopped it.
func (e Ending) IsFault() bool {
	return e.Kind == NotStarted || e.Kind == OutOfMem || e.Kind == Failed
}

const (
	whyTimeout   = 3 * time.Second // if the engine is slow, only the details are missing
	maxLastLine  = 300             // runes
	maxLastWords = 16 << 10        // bytes of the log that are read
	maxWhy       = 300             // runes of the engine's text
)

// WhyEnded returns why a container does not run, from the engine, the kernel, and the
// last line that it wrote. It returns the zero value for a container that runs, or
// was only created. It asks the engine for up to 3 seconds; details that do not come
// in that time are left out.
func WhyEnded(ctx context.Context, engine *client.Client, c container.InspectResponse) Ending {
	if c.State == nil || c.State.Running && !c.State.Restarting {
		return Ending{}
	}
	ctx, cancel := context.WithTimeout(ctx, whyTimeout)
	defer cancel()
	found := evidence{lastLine: LastLine(ctx, engine, c)}
	found.asked, found.begun = signalsOf(ctx, engine, c)
	if IsLocal(engine) {
		found.kernel = readKernelLog(kernelLog)
	}
	return found.ending(c)
}

// evidence is what is known beside the container's own state.
type evidence struct {
	lastLine string         // that it has written
	asked    []string       // signals that the engine has sent it, in order
	begun    bool           // the engine remembers the start, so it is the same engine that stopped it
	kernel   []kernelRecord // of the box; nil if its log cannot be read
}

func (e evidence) ending(c container.InspectResponse) Ending {
	s := c.State
	killed := killedIn(e.kernel, c.ID, timeOf(s.StartedAt), timeOf(s.FinishedAt).Add(time.Second))
	switch {
	case s.Error != "":
		return Ending{NotStarted, "the engine could not start it: " + printable.Line(s.Error, maxWhy)}
	case s.Status == container.StateCreated:
		return Ending{}
	case s.OOMKilled || killed != "" && s.ExitCode != 0: // with an init, the engine may miss it
		return Ending{OutOfMem, "the kernel killed it for want of memory: " + memoryText(c, killed)}
	case len(e.asked) > 0:
		return Ending{Stopped, e.stopped(s.ExitCode)}
	case s.ExitCode == 0:
		return Ending{Done, "its command ended" + behind(e.lastLine)}
	}
	text := fmt.Sprintf("its command ended with code %d%s", s.ExitCode, behind(e.lastLine))
	if s.ExitCode == 128+9 {
		text += "; something killed it, as the kernel does for want of memory: " + memoryText(c, "")
	}
	if xid := e.gpuError(c); xid != "" {
		text += "; the NVIDIA driver had reported " + xid
	}
	return Ending{Failed, text}
}

// stopped returns who stopped it, as far as that is known. An engine that is started
// again stops itself what a crashed one has left, which looks the same.
func (e evidence) stopped(exitCode int) string {
	how := e.signal(exitCode)
	if exitCode != 0 {
		how += fmt.Sprintf(", code %d", exitCode)
	}
	if e.begun {
		return "somebody stopped it by the engine (" + how + ")"
	}
	return "the engine stopped it (" + how + "), for somebody or since it was itself started again"
}

// signal returns the signal that ended it: the one in its exit code, or else the last
// one that was sent. An engine that gives no time to stop sends two at once.
func (e evidence) signal(exitCode int) string {
	told := signalText(strconv.Itoa(exitCode - 128))
	if slices.Contains(e.asked, told) {
		return told
	}
	return e.asked[len(e.asked)-1]
}

// memoryText returns the container's memory limit, when it ended, and which process
// the kernel killed if that is known.
func memoryText(c container.InspectResponse, killed string) string {
	text := "it has no limit but the box's"
	if c.HostConfig != nil && c.HostConfig.Memory > 0 {
		text = "its limit is " + units.BytesSize(float64(c.HostConfig.Memory))
	}
	if at := timeOf(c.State.FinishedAt); !at.IsZero() {
		text += ", at " + at.Local().Format("15:04 on 2 January")
	}
	if killed != "" {
		text += "; " + killed
	}
	return text
}

// gpuError returns what NVIDIA's driver reported in the last minute of a container
// with GPUs. It may be about another GPU, since the kernel names cards by their slot.
func (e evidence) gpuError(c container.InspectResponse) string {
	end := timeOf(c.State.FinishedAt)
	if !hasGPU(c) || end.IsZero() {
		return ""
	}
	return lastXid(e.kernel, end.Add(-time.Minute), end.Add(5*time.Second))
}

func hasGPU(c container.InspectResponse) bool {
	if c.HostConfig == nil {
		return false
	}
	return c.HostConfig.Runtime == "nvidia" || slices.ContainsFunc(c.HostConfig.DeviceRequests, func(r container.DeviceRequest) bool {
		return r.Driver == "nvidia" || r.Driver == "cdi" || slices.ContainsFunc(r.Capabilities, func(all []string) bool { return slices.Contains(all, "gpu") })
	})
}

func behind(line string) string {
	if line == "" {
		return ""
	}
	return ": " + line
}

// LastLine returns the last line that a container wrote, made safe to show; "" if it
// wrote none, or its log cannot be read.
func LastLine(ctx context.Context, engine *client.Client, c container.InspectResponse) string {
	logs, err := engine.ContainerLogs(ctx, c.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "1"})
	if err != nil {
		return ""
	}
	defer logs.Close()
	var text strings.Builder
	some := io.LimitReader(logs, maxLastWords) // a line may have any length
	if c.Config.Tty {
		_, err = io.Copy(&text, some)
	} else {
		_, err = stdcopy.StdCopy(&text, &text, some)
	}
	if err != nil {
		return ""
	}
	return printable.Line(text.String(), maxLastLine)
}

// signalsOf returns the signals that the engine has sent a container since its last
// start, in order, and whether it remembers that start: it has only its last 256
// events, and none from before its own start.
func signalsOf(ctx context.Context, engine *client.Client, c container.InspectResponse) (signals []string, begun bool) {
	end := timeOf(c.State.FinishedAt)
	if end.IsZero() {
		return nil, false
	}
	ctx, cancel := context.WithCancel(ctx) // its end stops the stream of events
	defer cancel()
	started := timeOf(c.State.StartedAt)
	result := engine.Events(ctx, client.EventsListOptions{
		Since: unixTime(started), Until: unixTime(end.Add(2 * time.Second)),
		Filters: make(client.Filters).Add("container", c.ID).Add("event", string(events.ActionKill), string(events.ActionStart)),
	})
	for {
		select {
		case m := <-result.Messages:
			if m.Action == events.ActionStart {
				begun = true
				continue
			}
			signals = append(signals, signalText(m.Actor.Attributes["signal"]))
		case <-result.Err: // io.EOF after the last one
			return signals, begun
		}
	}
}

func unixTime(at time.Time) string { return fmt.Sprintf("%d.%09d", at.Unix(), at.Nanosecond()) }

func signalText(number string) string {
	names := map[string]string{"1": "SIGHUP", "2": "SIGINT", "3": "SIGQUIT", "9": "SIGKILL", "15": "SIGTERM"}
	if name := names[number]; name != "" {
		return name
	}
	return "signal " + printable.Line(number, 20)
}

// timeOf parses a time as the engine writes it; the zero time if there is none.
func timeOf(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.Year() < 1970 {
		return time.Time{}
	}
	return at
}
