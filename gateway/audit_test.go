package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"
	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
)

// auditedGateway returns a gateway with an audit file, where dev's key has options.
func auditedGateway(t *testing.T, from keeper.Hosts, options string) (g *testGateway, records *audit.Log, events func() []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	records, err := audit.Open(audit.Settings{File: path}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { records.Close() })
	g = startWithLine(t, from, options, func(s *Server) {
		s.Audit = records
		s.Keeper.(*keeper.Keeper).Audit = records
	})
	return g, records, func() []string { return eventsIn(t, path) }
}

// eventsIn returns the file's events, each as its name and those fields that are the
// same in every run.
func eventsIn(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if event["event"] != "changed" && (event["conn"] == "" || event["remote"] == "") {
			t.Errorf("whose is %s", line)
		}
		said := fmt.Sprint(event["event"])
		for _, field := range []string{"user", "host", "login", "session", "kind", "command", "asked", "pty", "exit", "forward", "to", "at", "from", "what", "why", "signal", "by", "action", "path", "bytes", "failed", "cut", "change", "of", "method"} {
			if value, has := event[field]; has {
				said += fmt.Sprintf(" %s=%v", field, value)
			}
		}
		all = append(all, said)
	}
	return all
}

func TestWhatIsDoneIsWrittenDown(t *testing.T) {
	for _, route := range []string{"be", "join"} {
		log := &reachedLog{}
		from := machineThatSays(log)
		if route == "join" {
			from = sshdThatSays(t, log, nil)
		}
		g, _, events := auditedGateway(t, from, "no-x11-forwarding")
		if _, err := g.dial("dev+lab", nil, ssh.PublicKeys(g.other)); err == nil {
			t.Fatal("another's key opens")
		}
		client := g.enter(t, "dev+lab")
		s, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		s.RequestPty("xterm", 24, 80, nil)
		s.SendRequest("auth-agent-req@openssh.com", true, nil)
		s.SendRequest("x11-req", true, nil) // not permitted
		s.SendRequest("signal", false, ssh.Marshal(sshconn.SignalRequest{Name: "USR1"}))
		if err := s.Run("make all"); err != nil {
			t.Fatal(err)
		}
		client.Dial("tcp", "localhost:80")
		client.Dial("unix", "/run/x")
		client.Listen("tcp", "127.0.0.1:8080")
		client.Close()
		harness.Eventually(t, "the end is written", func() bool {
			all := events()
			return strings.HasPrefix(all[len(all)-1], "left")
		})
		want := []string{
			"login_tried login=dev+lab method=publickey",
			"logged_in user=dev login=dev+lab",
			"entered user=dev host=lab",
			"lent user=dev host=lab session=1 what=agent",
			"session user=dev host=lab session=1 kind=exec command=make all pty=true",
			"session_ended user=dev host=lab session=1 exit=0",
			"signal user=dev host=lab session=1 signal=USR1",
			"forward user=dev host=lab forward=1 to=localhost:80",
			"forward_ended user=dev host=lab forward=1 why=nothing there",
			"forward user=dev host=lab forward=2 to=/run/x",
			"forward_ended user=dev host=lab forward=2 why=nothing there",
			"listener user=dev host=lab at=127.0.0.1:8080",
			"left user=dev host=lab",
		}
		got := events()
		slices.Sort(got) // the order varies: a session's end may come a moment later
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", route, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// The attack: evade the audit file with a kind of channel that the gateway does not
// know, but a host's own sshd serves.
func TestAChannelOfAnotherKindIsWrittenDown(t *testing.T) {
	g, _, events := auditedGateway(t, sshdThatSays(t, &reachedLog{}, nil), "")
	client := g.enter(t, "dev+lab")
	if _, _, err := client.OpenChannel("tun@openssh.com", nil); err == nil {
		t.Fatal("this sshd has tunnels")
	}
	if all := events(); !slices.Contains(all, "forward user=dev host=lab forward=1 to=tun@openssh.com") {
		t.Error(all)
	}
}

func TestAForcedCommandIsWrittenDownWithWhatWasAskedFor(t *testing.T) {
	g, _, events := auditedGateway(t, atMachine(newFakeMachine(echoes)), `command="backup"`)
	runs(t, g.enter(t, "dev+lab"), "rm -rf /")
	if all := events(); !slices.Contains(all, "session user=dev host=lab session=1 kind=exec command=backup asked=rm -rf / pty=false") {
		t.Error(all)
	}
}

func TestWhoIsTurnedAwayIsWrittenDown(t *testing.T) {
	g, _, events := auditedGateway(t, atMachine(newFakeMachine(echoes)), "")
	runs(t, g.enter(t, "dev+vault"), "x")
	if all := events(); !slices.Contains(all, `refused user=dev why=host "vault" is not granted to dev; granted: lab`) {
		t.Error(all)
	}
}

// The attack: fill the disk, then act without being recorded.
func TestWhatCannotBeAuditedIsRefused(t *testing.T) {
	log := &reachedLog{}
	g, records, _ := auditedGateway(t, machineThatSays(log), "")
	before := g.enter(t, "dev+lab")
	if got := runs(t, before, "first"); got.status != 0 {
		t.Fatalf("%+v", got)
	}
	records.Close() // every write fails from here on
	s, err := before.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run("hidden"); err == nil {
		t.Error("who was there starts a command")
	}
	if conn, err := before.Dial("tcp", "localhost:80"); err == nil {
		conn.Close()
		t.Error("who was there opens a forward")
	}
	if listener, err := before.Listen("tcp", "127.0.0.1:1"); err == nil {
		listener.Close()
		t.Error("who was there listens")
	}
	if got := runs(t, g.enter(t, "dev+lab"), "hidden"); got.status != 255 || !strings.Contains(got.err, "audit file") {
		t.Errorf("who comes: %+v", got)
	}
	if log.has("hidden") || log.has("dial") || log.has("listen") {
		t.Errorf("done: %s", log.all())
	}
}

// The disk becomes full between a login and the entry of its host.
func TestAnEntryThatCannotBeAuditedIsRefused(t *testing.T) {
	m := newFakeMachine(echoes)
	from := atMachine(m)
	var records atomic.Pointer[audit.Log]
	from.lookup = func(name string) (hosts.Host, error) {
		records.Load().Close()
		return hosts.Host{Name: name, Route: labels.RouteExec}, nil
	}
	g, opened, events := auditedGateway(t, from, "")
	records.Store(opened)
	if got := runs(t, g.enter(t, "dev+lab"), "hidden"); got.status != 255 || !strings.Contains(got.err, "berth: it could not be written") {
		t.Errorf("%+v, %v", got, events())
	}
	within(t, "the entrance is closed", m.closed)
}

// Each change that a reload makes is written once.
func TestAChangeOfPolicyIsWrittenDown(t *testing.T) {
	g, _, events := auditedGateway(t, atMachine(newFakeMachine(echoes)), "")
	g.grant(t, map[string]auth.Grant{"lab": {Restrictions: auth.Restrictions{NoX11: true}}, "more": {}})
	want := []string{"changed user=dev what=grant by=test change=changed of=lab", "changed user=dev what=grant by=test change=added of=more"}
	if all := events(); !slices.Equal(all, want) {
		t.Error(strings.Join(all, "\n"))
	}
}

// The attack: fill the disk, then go on with an sftp session that had already begun.
func TestFilesThatCannotBeWrittenDownEndTheirSession(t *testing.T) {
	removed := make(chan struct{})
	m := newFakeMachine(func(_ machine.Command, in io.Reader, out, _ io.Writer) int {
		io.ReadFull(in, make([]byte, 14))
		<-removed
		out.Write([]byte{0, 0, 0, 9, 101, 0, 0, 0, 7, 0, 0, 0, 0}) // status 0 of request 7
		io.Copy(io.Discard, in)
		return 0
	})
	g, records, events := auditedGateway(t, atMachine(m), "")
	channel, requests, err := g.enter(t, "dev+lab").OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ssh.DiscardRequests(requests)
	}()
	if ok, err := channel.SendRequest("subsystem", true, ssh.Marshal(sshconn.SubsystemRequest{Name: "sftp"})); !ok || err != nil {
		t.Fatal(ok, err)
	}
	channel.Write([]byte{0, 0, 0, 10, 13, 0, 0, 0, 7, 0, 0, 0, 1, 'f'}) // remove f, as request 7
	records.Close()
	close(removed)
	within(t, "the session is ended", ended)
	if all := events(); slices.ContainsFunc(all, func(e string) bool { return strings.HasPrefix(e, "file") }) {
		t.Error(all)
	}
}
