package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type greeting struct{ Hello string }

// start answers on a socket of its own until the test ends.
func start(t *testing.T, verbs map[string]Verb) (socket string) {
	t.Helper()
	socket = SocketIn(shortDir(t))
	s, err := Listen(socket, verbs, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return socket
}

// shortDir is a directory whose sockets' paths are not too long.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "control-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestAVerbIsAnswered(t *testing.T) {
	socket := start(t, map[string]Verb{
		"greet": func(_ context.Context, args json.RawMessage) (any, error) {
			var to greeting
			err := json.Unmarshal(args, &to)
			return greeting{"hello, " + to.Hello}, err
		},
		"half": func(context.Context, json.RawMessage) (any, error) {
			return greeting{"so far"}, errors.New("and no further:\ntwo lines")
		},
		"silent": func(context.Context, json.RawMessage) (any, error) { return nil, nil },
		"panics": func(context.Context, json.RawMessage) (any, error) { panic("for a test") },
	})
	for _, tt := range []struct{ verb, want, err string }{
		{"greet", "hello, dev", ""},
		{"half", "so far", "and no further:\ntwo lines"},
		{"silent", "", ""},
		{"panics", "", "the gateway failed; its log says why"},
		{"dance", "", `this gateway does not know "dance"; is it of an older version?`},
		{"greet", "hello, dev", ""}, // after all that
	} {
		var got greeting
		err := Call(t.Context(), socket, tt.verb, greeting{"dev"}, &got)
		if got.Hello != tt.want || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("%s: %q, %v", tt.verb, got.Hello, err)
		}
	}
	if err := Call(t.Context(), socket, "silent", nil, nil); err != nil {
		t.Error(err)
	}
}

// Who asks a gateway that ends meanwhile is answered by the next one, or told that there
// is none.
func TestAGatewayThatEndsIsNotWaitedFor(t *testing.T) {
	for _, next := range []bool{true, false} {
		socket := SocketIn(shortDir(t))
		former, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := former.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			former.Close() // which removes the socket
			if next {
				s, err := Listen(socket, map[string]Verb{"x": func(context.Context, json.RawMessage) (any, error) { return nil, nil }}, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Error(err)
				} else {
					t.Cleanup(s.Close)
				}
			}
			conn.Close()
		}()
		if err := Call(t.Context(), socket, "x", nil, nil); next && err != nil || !next && !errors.Is(err, ErrNotRunning) {
			t.Errorf("next %v: %v", next, err)
		}
	}
}

// The attack: an account of this machine asks the gateway to do something.
func TestOnlyTheOwnerReachesTheSocket(t *testing.T) {
	info, err := os.Stat(start(t, nil))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
}

func TestWhoSendsRubbishIsToldSo(t *testing.T) {
	socket := start(t, nil)
	for _, text := range []string{"\n", "hello\n", "[]\n", `{"verb": 1}` + "\n", strings.Repeat("[", 100) + "\n"} {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, text)
		conn.(*net.UnixConn).CloseWrite()
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		answer, err := io.ReadAll(conn)
		if conn.Close(); err != nil || !strings.Contains(string(answer), "not a request") {
			t.Errorf("%q: %q, %v", text, answer, err)
		}
	}
}

func TestASocketThatNobodyAnswersIsReplaced(t *testing.T) {
	socket := SocketIn(shortDir(t))
	log := slog.New(slog.DiscardHandler)
	if err := Call(t.Context(), socket, "x", nil, nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("without any: %v", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close() // as one that is killed leaves it
	if err := Call(t.Context(), socket, "x", nil, nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("of one that was killed: %v", err)
	}
	s, err := Listen(socket, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(socket, nil, log); err == nil || !strings.Contains(err.Error(), "another gateway answers") {
		t.Errorf("a second one: %v", err)
	}
	s.Close()
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// During an upgrade each gateway is asked: the new one, and the one that has moved
// aside.
func TestAllGatewaysAreAsked(t *testing.T) {
	dir := shortDir(t)
	log := slog.New(slog.DiscardHandler)
	named := func(name string) map[string]Verb {
		return map[string]Verb{"name": func(context.Context, json.RawMessage) (any, error) { return greeting{name}, nil }}
	}
	if _, err := CallAll[greeting](t.Context(), dir, "name", nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("without any: %v", err)
	}
	old, err := Listen(SocketIn(dir), named("old"), log)
	if err != nil {
		t.Fatal(err)
	}
	if err := old.StepAside(OldSocketIn(dir, 7)); err != nil {
		t.Fatal(err)
	}
	next, err := Listen(SocketIn(dir), named("new"), log)
	if err != nil {
		t.Fatal(err)
	}
	got, err := CallAll[greeting](t.Context(), dir, "name", nil)
	if err != nil || len(got) != 2 || got[0].Hello != "new" || got[1].Hello != "old" {
		t.Errorf("got %v, %v", got, err)
	}
	old.Close()
	if got, err = CallAll[greeting](t.Context(), dir, "name", nil); err != nil || len(got) != 1 {
		t.Errorf("when the old one is gone: %v, %v", got, err)
	}
	next.Close()
	if left := Sockets(dir); len(left) != 1 {
		t.Errorf("left over: %q", left)
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	released := make(chan struct{})
	socket := start(t, map[string]Verb{"wait": func(ctx context.Context, _ json.RawMessage) (any, error) {
		<-released
		return nil, nil
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := Call(ctx, socket, "wait", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	close(released)
}

// Whatever comes, the server goes on.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"verb":"x","args":{"a":[1,2]}}`))
	f.Add([]byte(`{"verb":`))
	dir, err := os.MkdirTemp("", "control-")
	if err != nil {
		f.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	s, err := Listen(socket, map[string]Verb{"x": func(context.Context, json.RawMessage) (any, error) { return 1, nil }}, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	f.Fuzz(func(t *testing.T, data []byte) {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write(data)
		conn.(*net.UnixConn).CloseWrite()
		var response Response
		if err := json.NewDecoder(conn).Decode(&response); err != nil || (response.Error == "") == (response.Result == nil) {
			t.Errorf("%q: %+v, %v", data, response, err)
		}
	})
}
