package metrics

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/scrape"
)

// served are metrics that are asked for at a unix socket. All kinds of events have
// happened.
func served(t *testing.T, ready *error) (get func(path string) (string, int)) {
	t.Helper()
	m := New("v1.2.3", func(context.Context) Now {
		return Now{
			Connections: 3, Sessions: 4, Forwards: 5, Up: 100, Down: 200,
			Hosts: map[Host]int{{"exec", Up}: 2, {"sshd", Restarting}: 1}, Engines: map[string]bool{"local": true, "a100": false},
		}
	})
	for _, event := range []audit.Event{
		audit.LoginTried{Method: "password"}, audit.LoginTried{Method: "\xff\"}\n"}, audit.LoginTried{Method: "made up"},
		audit.LoggedIn{Steps: []audit.Step{{Method: "publickey"}, {Method: "code"}}, Exchange: 0.003},
		audit.Refused{}, audit.Entered{Route: "exec", Seconds: 0.5}, audit.Session{Kind: "exec"}, audit.Forward{},
		audit.Entered{Route: "made up"}, audit.Session{Kind: "made up"},
		audit.Left{Up: 1000, Down: 2000},
	} {
		m.Observe(event)
	}
	path := filepath.Join(t.TempDir(), "m.sock")
	server, err := m.Serve(scrape.Unix+path, func() error { return *ready }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	return func(path string) (string, int) {
		answer, err := client.Get("http://gateway" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return string(text), answer.StatusCode
	}
}

func TestMetricsSayWhatHappened(t *testing.T) {
	var ready error
	get := served(t, &ready)
	text, _ := get("/metrics")
	for _, line := range []string{
		`berth_build_info{version="v1.2.3"} 1`,
		`berth_logins_total{method="password",outcome="failed"} 1`,
		`berth_logins_total{method="other",outcome="failed"} 2`, // whatever a client calls it
		`berth_logins_total{method="code",outcome="ok"} 1`,
		`berth_logins_total{method="",outcome="refused"} 1`,
		`berth_sessions_total{kind="exec"} 1`,
		`berth_sessions_total{kind="other"} 1`, `berth_reach_seconds_count{route="other"} 1`, // whatever a front calls it
		`berth_forwards_total 1`,
		`berth_connections 3`, `berth_sessions 4`, `berth_forwards 5`,
		`berth_bytes_total{direction="up"} 1100`, `berth_bytes_total{direction="down"} 2200`,
		`berth_hosts{route="exec",state="up"} 2`, `berth_hosts{route="sshd",state="restarting"} 1`,
		`berth_engine_up{box="local"} 1`, `berth_engine_up{box="a100"} 0`,
		`berth_key_exchange_seconds_count 1`, `berth_reach_seconds_sum{route="exec"} 0.5`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no %s in\n%s", line, text)
		}
	}
}

func TestHealth(t *testing.T) {
	var ready error
	get := served(t, &ready)
	for _, path := range []string{"/healthz", "/readyz"} {
		if text, status := get(path); text != "ok\n" || status != 200 {
			t.Errorf("%s: %d %q", path, status, text)
		}
	}
	ready = errors.New("the engine does not answer")
	if text, status := get("/readyz"); text != "the engine does not answer\n" || status != 503 {
		t.Errorf("where it is of no use: %d %q", status, text)
	}
	if _, status := get("/healthz"); status != 200 {
		t.Errorf("it lives: %d", status)
	}
}

// A connection that leaves counts twice for a moment; a counter must never fall.
func TestBytesNeverFall(t *testing.T) {
	m := New("", nil)
	m.Observe(audit.Left{Up: 10, Down: 10})
	if got := m.total(Now{Up: 10, Down: 5}); got != (bytes{20, 15}) {
		t.Errorf("got %v", got)
	}
	if got := m.total(Now{}); got != (bytes{20, 15}) {
		t.Errorf("then %v", got)
	}
	m.Observe(audit.Left{Up: 15, Down: 1})
	if got := m.total(Now{}); got != (bytes{25, 15}) {
		t.Errorf("at last %v", got)
	}
}
