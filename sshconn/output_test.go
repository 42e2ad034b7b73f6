package sshconn

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a channel that records the calls on it, in order.
type recorder struct {
	mu     sync.Mutex
	events []string
	stdout bytes.Buffer
	stderr bytes.Buffer
}

func (r *recorder) note(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) == 0 || r.events[len(r.events)-1] != event {
		r.events = append(r.events, event)
	}
}

func (r *recorder) Read([]byte) (int, error) { return 0, io.EOF }
func (r *recorder) Write(p []byte) (int, error) {
	r.note("stdout")
	return r.stdout.Write(p)
}
func (r *recorder) Close() error      { r.note("CLOSE"); return nil }
func (r *recorder) CloseWrite() error { r.note("EOF"); return nil }
func (r *recorder) SendRequest(name string, _ bool, _ []byte) (bool, error) {
	r.note(name)
	return true, nil
}
func (r *recorder) Stderr() io.ReadWriter { return recordedStderr{r} }

type recordedStderr struct{ *recorder }

func (r recordedStderr) Write(p []byte) (int, error) {
	r.note("stderr")
	return r.stderr.Write(p)
}

func exitsWith(exit Exit) <-chan Exit {
	c := make(chan Exit, 1)
	c <- exit
	return c
}

func ended() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func drain(t *testing.T, o Output) *recorder {
	t.Helper()
	channel := &recorder{}
	o.Channel = channel
	tasks := &Tasks{Panicked: func(v any, _ []byte) { t.Errorf("panic: %v", v) }}
	o.Drain(tasks)
	tasks.Wait()
	return channel
}

func TestOutputIsClosedInOneOrder(t *testing.T) {
	channel := drain(t, Output{
		Stdout:     strings.NewReader(strings.Repeat("o", 300_000)),
		Exit:       exitsWith(ExitStatus(7)),
		InputEnded: ended(),
	})
	if want := []string{"stdout", "exit-status", "EOF", "CLOSE"}; !slices.Equal(channel.events, want) {
		t.Errorf("got %v, want %v", channel.events, want)
	}
	if channel.stdout.Len() != 300_000 {
		t.Errorf("%d bytes of stdout arrived", channel.stdout.Len())
	}
}

func TestStderrIsNotCutByTheEndOfStdout(t *testing.T) {
	stderr, process := io.Pipe()
	go func() {
		for range 100 {
			process.Write(bytes.Repeat([]byte("e"), 10_000))
		}
		process.Close()
	}()
	channel := drain(t, Output{
		Stdout:     strings.NewReader(""),
		Stderr:     stderr,
		Exit:       exitsWith(ExitStatus(0)),
		InputEnded: ended(),
	})
	if channel.stderr.Len() != 1_000_000 {
		t.Errorf("%d bytes of stderr arrived", channel.stderr.Len())
	}
	if want := []string{"stderr", "exit-status", "EOF", "CLOSE"}; !slices.Equal(channel.events, want) {
		t.Errorf("got %v, want %v", channel.events, want)
	}
}

// A client that has ended its input answers EOF with CLOSE, and would then
// never see an exit status.
func TestEOFWaitsForTheStatusOfAClientThatEndedItsInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exit := make(chan Exit, 1)
		time.AfterFunc(3*EOFGrace, func() { exit <- ExitStatus(5) })
		channel := drain(t, Output{Stdout: strings.NewReader(""), Exit: exit, InputEnded: ended()})
		if want := []string{"exit-status", "EOF", "CLOSE"}; !slices.Equal(channel.events, want) {
			t.Errorf("got %v, want %v", channel.events, want)
		}
	})
}

// A client that still sends may wait for the EOF before it ends its input.
func TestEOFGoesEarlyToAClientThatStillSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exit := make(chan Exit, 1)
		time.AfterFunc(3*EOFGrace, func() { exit <- ExitStatus(5) })
		channel := drain(t, Output{Stdout: strings.NewReader(""), Exit: exit, InputEnded: make(chan struct{})})
		if want := []string{"EOF", "exit-status", "CLOSE"}; !slices.Equal(channel.events, want) {
			t.Errorf("got %v, want %v", channel.events, want)
		}
	})
}

func TestALostStatusStillClosesTheChannel(t *testing.T) {
	exit := make(chan Exit)
	close(exit)
	channel := drain(t, Output{Stdout: strings.NewReader("x"), Exit: exit, InputEnded: ended()})
	if want := []string{"stdout", "EOF", "CLOSE"}; !slices.Equal(channel.events, want) {
		t.Errorf("got %v, want %v", channel.events, want)
	}
}

func TestExitsFromAContainerAreChecked(t *testing.T) {
	for _, exit := range []Exit{ExitStatus(0), ExitStatus(255), ExitSignal("KILL", false), ExitSignal("SIG@openssh.com", true)} {
		parsed, err := ParseExit(exit.Request, string(exit.Payload))
		if err != nil || parsed.Request != exit.Request || !bytes.Equal(parsed.Payload, exit.Payload) {
			t.Errorf("%q read back as %q, %v", exit, parsed, err)
		}
	}
	for _, bad := range [][2]string{
		{"exit-status", "xy"},
		{"exit-status", "\x00\x00\x00\x00\x00"},
		{"exec", "\x00\x00\x00\x00"},
		{"exit-signal", string(ExitSignal("KI\x1bLL", false).Payload)},
	} {
		if _, err := ParseExit(bad[0], bad[1]); err == nil {
			t.Errorf("%q was taken for an exit", bad)
		}
	}
}
