package owner

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// connection is a row of "sessions --json": the keys that its readers count on.
type connection struct {
	ID       string    `json:"id"`
	Person   string    `json:"person"`
	Host     string    `json:"host"`
	Account  string    `json:"account"`
	Route    string    `json:"route"`
	From     string    `json:"from"`
	Since    time.Time `json:"since"`
	Idle     float64   `json:"idle_seconds"`
	Sessions int       `json:"sessions"`
	Forwards int       `json:"forwards"`
	Up       uint64    `json:"bytes_up"`
	Down     uint64    `json:"bytes_down"`
	Client   string    `json:"client"`
	PID      int       `json:"gateway_pid"`
	Version  string    `json:"gateway_version"`
}

// verb runs a verb of the gateway for the one of g.
func verb(t *testing.T, g *harness.Gateway, words ...string) (out string, err error) {
	t.Helper()
	text, err := g.Verb(words...).CombinedOutput()
	return string(text), err
}

func must(t *testing.T, g *harness.Gateway, words ...string) string {
	t.Helper()
	out, err := verb(t, g, words...)
	if err != nil {
		t.Fatalf("%q: %v\n%s", words, err, out)
	}
	return out
}

func sessions(t *testing.T, g *harness.Gateway) (all []connection) {
	t.Helper()
	out := must(t, g, "sessions", "--json")
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return all
}

// only is the one connection there is.
func only(t *testing.T, g *harness.Gateway) connection {
	t.Helper()
	all := sessions(t, g)
	if len(all) != 1 {
		t.Fatalf("connections: %+v", all)
	}
	return all[0]
}

// The owner sees on both routes who does what, and the bytes are those that went
// over the wire.
func TestTheOwnerSeesWhoIsOn(t *testing.T) {
	m := harness.StartMachine(t)
	if all := sessions(t, m.Gateway); len(all) != 0 {
		t.Errorf("at first: %+v", all)
	}
	for route, to := range map[string]harness.Target{"sshd": m.Relay, "local": m.Local} {
		t.Run(route, func(t *testing.T) { seesWhoIsOn(t, m.Gateway, to, route) })
	}
}

const megabytes = 3

func seesWhoIsOn(t *testing.T, g *harness.Gateway, to harness.Target, route string) {
	port := harness.FreePort(t)
	echo := harness.StartLocalEcho(t)
	before := time.Now().Add(-time.Second)
	client := to.Start(t, fmt.Sprintf("exec ssh -L 127.0.0.1:%s:127.0.0.1:%s h 'echo in; head -c %d | wc -c; head -c %d /dev/zero; exec cat'", port, echo, megabytes<<20, megabytes<<20))
	if line := client.ReadLine(t); line != "in" {
		t.Fatalf("said %q", line)
	}
	first := only(t, g)
	want := connection{
		Person: "dev", Host: strings.TrimPrefix(to.Login, "dev+"), Account: first.Account, Route: route, Sessions: 1, ID: first.ID, From: first.From,
		Since: first.Since, Idle: first.Idle, Up: first.Up, Down: first.Down, Client: first.Client, PID: g.Command.Process.Pid, Version: first.Version,
	}
	if first != want || first.Since.Before(before) || first.Idle > 60 || !strings.HasPrefix(first.Client, "SSH-2.0-OpenSSH") || !strings.HasPrefix(first.From, "127.0.0.1:") {
		t.Errorf("got  %+v\nwant %+v", first, want)
	}
	client.Stdin.Write(make([]byte, megabytes<<20))
	if line := client.ReadLine(t); line != fmt.Sprint(megabytes<<20) {
		t.Fatalf("said %q", line)
	}
	if _, err := io.CopyN(io.Discard, client.Stdout, megabytes<<20); err != nil {
		t.Fatal(err)
	}
	client.WantLine(t, "all is there")
	then := only(t, g)
	for what, bytes := range map[string]uint64{"up": then.Up - first.Up, "down": then.Down - first.Down} {
		if bytes < megabytes<<20 || bytes > megabytes<<20*11/10 {
			t.Errorf("%s: %d bytes for %d MiB", what, bytes, megabytes)
		}
	}
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "a forward is open", func() bool { return only(t, g).Forwards == 1 })
	harness.WantEchoOn(t, conn)
	conn.Close()
	harness.Eventually(t, "the forward is over", func() bool { return only(t, g).Forwards == 0 })
	if table := must(t, g, "sessions"); !strings.Contains(table, first.ID) || !strings.Contains(table, "CLIENT") {
		t.Errorf("got\n%s", table)
	}
	client.Kill()
	harness.Eventually(t, "nobody is on", func() bool { return len(sessions(t, g)) == 0 })
}

// A person is told why, on both routes; nobody else notices, and the person may
// come again.
func TestTheOwnerKicks(t *testing.T) {
	m := harness.StartMachine(t)
	stays := m.Relay.StartCat(t)
	stayed := only(t, m.Gateway).ID
	for _, to := range m.Doors() {
		kicked := to.Start(t, "exec ssh h 'echo in; exec cat' 2>&1")
		kicked.ReadLine(t)
		for _, c := range sessions(t, m.Gateway) {
			if c.ID != stayed {
				if out := must(t, m.Gateway, "kick", c.ID, "--message", "lunch\x1b[2J"); !strings.Contains(out, "ended 1 connection: "+c.ID) {
					t.Errorf("kick says %q", out)
				}
			}
		}
		if line := kicked.ReadLine(t); line != "berth: this connection was ended: lunch?[2J" {
			t.Errorf("%s is told %q", to.Name, line)
		}
		go io.Copy(io.Discard, kicked.Stdout) // what ssh says of it
		if status := kicked.Wait(t); status != 255 {
			t.Errorf("%s exits %d", to.Name, status)
		}
	}
	stays.WantLine(t, "still here")
	if out, err := verb(t, m.Gateway, "kick", "nobody"); err == nil || !strings.Contains(out, `nobody is connected as "nobody"`) {
		t.Errorf("of nobody: %v, %q", err, out)
	}
	must(t, m.Gateway, "kick", "dev")
	if status := stays.Wait(t); status != 255 {
		t.Errorf("exits %d", status)
	}
	m.Relay.Want(t, "ssh h echo again", "again\n")
}

// Who is at a terminal sees the message; a command's output has nothing of it.
// The attack: a message, or what it quotes, writes on people's terminals.
func TestTheOwnerTellsEverybody(t *testing.T) {
	m := harness.StartMachine(t)
	plain := m.Local.StartCat(t)
	var terminals []*harness.Client
	for _, to := range m.Doors() {
		client := to.Start(t, "exec ssh -tt h 'echo in; exec cat' 2>&1")
		client.ReadLine(t)
		terminals = append(terminals, client)
	}
	if out := must(t, m.Gateway, "wall", "the box goes down\nat 12\x1b]0;x\a"); out != "shown on 2 terminals\n" {
		t.Errorf("wall says %q", out)
	}
	for _, client := range terminals {
		for _, want := range []string{"\r", "berth: the box goes down\r", "at 12?]0;x?\r"} {
			if line := client.ReadLine(t); line != want {
				t.Errorf("shows %q, want %q", line, want)
			}
		}
	}
	plain.WantLine(t, "nothing but this")
	if out, err := verb(t, m.Gateway, "wall", " "); err == nil {
		t.Errorf("an empty message: %q", out)
	}
}
