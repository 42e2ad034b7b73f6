package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-ssh/berth/printable"

	"github.com/moby/moby/client"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeExec is an engine that runs one kind of command: run is what it does with
// its standard streams, and status how it ends.
type fakeExec struct {
	run    func(in io.Reader, out, err io.Writer)
	status int

	created atomic.Value  // the body of the last exec that was made
	asked   atomic.Int32  // how often its state was asked for
	ended   chan struct{} // closed when run has returned
}

func (f *fakeExec) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/_ping"):
		w.Header().Set("API-Version", "1.41")
	case strings.HasSuffix(path, "/containers/c1/exec"):
		body, _ := io.ReadAll(r.Body)
		f.created.Store(string(body))
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"Id":"e1"}`)
	case strings.HasSuffix(path, "/exec/e1/start"):
		f.start(w, r)
	case strings.HasSuffix(path, "/exec/e1/json"):
		// The engine notices what happened a moment later.
		running, pid := true, 0
		switch f.asked.Add(1) {
		case 1:
		case 2:
			pid = 77
		default:
			<-f.ended
			running, pid = false, 77
		}
		json.NewEncoder(w).Encode(map[string]any{"ID": "e1", "Running": running, "ExitCode": f.status, "Pid": pid})
	default:
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"message":"no such container"}`)
	}
}

func (f *fakeExec) start(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	defer close(f.ended)
	io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	f.run(buffered, framed{conn, 1}, framed{conn, 2})
}

// framed frames what is written as the engine does for one stream.
type framed struct {
	net.Conn
	stream byte
}

func (w framed) Write(p []byte) (int, error) {
	n := len(p)
	header := []byte{w.stream, 0, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	_, err := w.Conn.Write(append(header, p...))
	return n, err
}

func runsOn(t *testing.T, f *fakeExec) *client.Client {
	t.Helper()
	f.ended = make(chan struct{})
	socket := filepath.Join(t.TempDir(), "engine")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: f}}
	server.Start()
	engine, err := Connect(Address{URL: "unix://" + socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		engine.Close()
		server.CloseClientConnections()
		server.Close()
	})
	return engine.Client
}

func TestOutputIsStdoutAlone(t *testing.T) {
	engine := runsOn(t, &fakeExec{run: func(in io.Reader, out, err io.Writer) {
		io.Copy(io.Discard, in) // until it is closed
		io.WriteString(err, "a warning")
		io.WriteString(out, "an answer")
	}})
	out, err := Output(t.Context(), engine, "c1", Command{Args: []string{"x"}}, 100)
	if string(out) != "an answer" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}

func TestOutputOfACommandThatFailsIsAnError(t *testing.T) {
	engine := runsOn(t, &fakeExec{status: 3, run: func(_ io.Reader, out, _ io.Writer) { io.WriteString(out, "half") }})
	if _, err := Output(t.Context(), engine, "c1", Command{Args: []string{"x"}}, 100); err == nil || !strings.Contains(err.Error(), "status 3") {
		t.Errorf("%v", err)
	}
	if _, err := Output(t.Context(), engine, "gone", Command{Args: []string{"x"}}, 100); err == nil {
		t.Error("in a container that is not there: no error")
	}
}

// A container that prints without end costs no more memory and time than what was
// asked for.
func TestOutputIsBounded(t *testing.T) {
	engine := runsOn(t, &fakeExec{run: func(_ io.Reader, out, _ io.Writer) {
		for {
			if _, err := out.Write(make([]byte, 4<<10)); err != nil {
				return
			}
		}
	}})
	if out, err := Output(t.Context(), engine, "c1", Command{Args: []string{"x"}}, 10<<10); out != nil || err == nil {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

func TestACommandRunsAsItWasAsked(t *testing.T) {
	f := &fakeExec{run: func(io.Reader, io.Writer, io.Writer) {}}
	engine := runsOn(t, f)
	command := Command{User: "dev", Env: []string{"ROOT_PASSWORD", "A=b"}, Args: []string{"sh", "-c", "true"}}
	if _, err := Output(t.Context(), engine, "c1", command, 1); err != nil {
		t.Fatal(err)
	}
	var got struct {
		User, WorkingDir string
		Env, Cmd         []string
	}
	if err := json.Unmarshal([]byte(f.created.Load().(string)), &got); err != nil {
		t.Fatal(err)
	}
	if want := "{dev / [ROOT_PASSWORD A=b] [sh -c true]}"; fmt.Sprint(got) != want {
		t.Errorf("the engine was asked for %v, want %s", got, want)
	}
}

func echoes(in io.Reader, out, _ io.Writer) { io.Copy(out, in) }

// The person waits in the login: whatever ends that ends the wait for a command.
func TestTheContextsEndClosesTheStreams(t *testing.T) {
	f := &fakeExec{run: echoes}
	ctx, cancel := context.WithCancel(t.Context())
	e, err := Start(ctx, runsOn(t, f), "c1", Command{Args: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	cancel()
	select {
	case <-f.ended:
	case <-time.After(10 * time.Second):
		t.Error("the command has its streams still")
	}
}

func TestACommandThatIsDetachedOutlivesItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	e, err := Start(ctx, runsOn(t, &fakeExec{run: echoes}), "c1", Command{Args: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.Detach()
	cancel()
	io.WriteString(e.In, "x")
	if _, err := io.ReadFull(e.Out, make([]byte, 1)); err != nil {
		t.Errorf("%v", err)
	}
}

func TestThePIDIsWaitedFor(t *testing.T) {
	f := &fakeExec{run: func(in io.Reader, _, _ io.Writer) { io.Copy(io.Discard, in) }}
	e, err := Start(t.Context(), runsOn(t, f), "c1", Command{Args: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := e.PID(t.Context()); pid != 77 || err != nil {
		t.Errorf("%d, %v", pid, err)
	}
	e.Close()
	if pid, err := e.PID(t.Context()); err == nil {
		t.Errorf("of a command that has ended: %d", pid)
	}
}

func TestWhyACommandFailed(t *testing.T) {
	for said, want := range map[string]string{
		"": ErrSilent.Error(),
		"OCI runtime exec failed: exec failed: \"x\": executable file not found in $PATH: unknown": ErrNoSuchFile.Error(),
		"exec /x: no such file or directory\r\n":                                                   ErrNoSuchFile.Error(),
		"exec /x: exec format error":                                                               "another processor architecture",
		"runtime: failed to create new OS thread (have 2)\ngoroutine 1":                            "pids limit",
		"sh: 1: Cannot fork":                          "pids limit",
		"first\tline  of\xff it\nand the rest":        "first line of? it",
		strings.Repeat("x", 2*printable.MaxBeginning): strings.Repeat("x", printable.MaxBeginning),
	} {
		engine := runsOn(t, &fakeExec{run: func(_ io.Reader, _, err io.Writer) { io.WriteString(err, said) }})
		e, err := Start(t.Context(), engine, "c1", Command{Args: []string{"x"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Explain(); !strings.Contains(got.Error(), want) || strings.Contains(got.Error(), "\n") {
			t.Errorf("%.80q is explained as %.80v, want %.80q", said, got, want)
		}
		e.Close()
	}
}
