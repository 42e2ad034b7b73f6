package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/printable"
	"github.com/berth-ssh/berth/provision/compose"
)

func (e *Executor) buildImage(ctx context.Context, i compose.Image) error {
	context, w := io.Pipe()
	defer context.Close()
	go func() { w.CloseWithError(i.Recipe.Context(w)) }()
	options := buildOptions(i)
	session, err := openSession(ctx, e.API)
	if err != nil {
		return err
	}
	if session != nil {
		defer session.close()
		options.Version, options.SessionID = build.BuilderBuildKit, session.id
	}
	result, err := e.API.ImageBuild(ctx, context, options)
	if err != nil {
		return err
	}
	defer result.Body.Close()
	return followBuild(result.Body, e.Progress.Say)
}

func buildOptions(i compose.Image) client.ImageBuildOptions {
	r := i.Recipe
	return client.ImageBuildOptions{
		Tags:        append([]string{i.Ref}, r.Tags...),
		Dockerfile:  r.Dockerfile,
		BuildArgs:   r.Args,
		Target:      r.Target,
		Labels:      r.Labels,
		ExtraHosts:  r.ExtraHosts,
		NetworkMode: r.Network,
		ShmSize:     r.ShmSize,
		NoCache:     r.NoCache,
		PullParent:  r.PullParent,
		Remove:      true,
		ForceRemove: true,
	}
}

// followBuild shows a build's output, and returns when the build ends. If the build
// fails, the error names the step and ends with its last lines.
func followBuild(output io.Reader, say func(string)) error {
	b := buildLog{say: say}
	for messages := json.NewDecoder(output); ; {
		var m jsonstream.Message
		if err := messages.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch {
		case m.Error != nil:
			return b.failure(m.Error.Message)
		case m.ID == "moby.buildkit.trace" && m.Aux != nil:
			b.trace(*m.Aux)
		default:
			b.stream(m.Stream)
		}
	}
}

// buildLog collects a builder's output. BuildKit may run several steps at once.
type buildLog struct {
	say   func(string)
	steps []*buildStep
}

type buildStep struct {
	digest string // BuildKit's name for it; "" of the classic builder
	name   string
	err    string
	tail   []string // its last lines

	lineEnded bool // the last line is complete
}

// tailLines is how many lines of a failed step are shown in its error.
const tailLines = 10

// maxTailLine is how much of a line is kept, in bytes: a progress bar is one line of
// megabytes.
const maxTailLine = 4 << 10

// write adds output of a step, which may end within a line. Of a line that is too
// long it keeps the beginning.
func (b *buildLog) write(s *buildStep, text string) {
	for line := range strings.Lines(text) {
		if len(s.tail) == 0 || s.lineEnded {
			s.tail = append(s.tail, "")
		}
		last := &s.tail[len(s.tail)-1]
		*last += line[:min(len(line), maxTailLine-len(*last))]
		s.lineEnded = strings.HasSuffix(line, "\n")
		b.say(strings.TrimSpace(line))
	}
	s.tail = s.tail[max(0, len(s.tail)-tailLines):]
}

// stream parses the output of the classic builder, which runs one step after the
// other.
func (b *buildLog) stream(text string) {
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "Step "):
			b.steps = append(b.steps, &buildStep{name: strings.TrimSpace(line)})
			b.say(line)
		case len(b.steps) > 0 && !isBookkeeping(line):
			b.write(b.steps[len(b.steps)-1], line)
		}
	}
}

// isBookkeeping reports whether a line is the builder's own, not of a command that it
// runs.
func isBookkeeping(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "---> ") || strings.HasPrefix(line, "Removing intermediate container ")
}

// maxBuildLine is how much of a line of a build's output an error shows, in runes.
const maxBuildLine = 1000

// printableLines returns the lines that are not empty, made safe to show: a build
// runs downloaded programs, which must not control the terminal.
func printableLines(lines []string) []string {
	var shown []string
	for _, line := range lines {
		if line = printable.Line(line, maxBuildLine); line != "" {
			shown = append(shown, line)
		}
	}
	return shown
}

// failure returns the error of a build that ended with this message.
func (b *buildLog) failure(message string) error {
	s := b.failed(message)
	if s == nil {
		message = regexp.MustCompile(`^(failed to (solve( with frontend \S+)?|create LLB definition): )+`).ReplaceAllString(message, "")
		return errors.New(strings.Join(printableLines(strings.Split(message, "\n")), "\n"))
	}
	if s.err != "" {
		message = s.err
	}
	command := regexp.MustCompile(`(?s)^(executor failed running \[.*\]|process ".*" did not complete successfully): `)
	message = command.ReplaceAllString(message, "") // the step has it already
	name := []rune(s.name)
	lines := []string{fmt.Sprintf("%s: %s", string(name[:min(len(name), 80)]), message)}
	return errors.New(strings.Join(printableLines(append(lines, s.tail...)), "\n  | "))
}
