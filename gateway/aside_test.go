package gateway

import (
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// stepAside calls StepAside and closes the listener, as when another gateway takes
// over.
func (g *testGateway) stepAside(linger time.Duration) {
	g.StepAside(linger)
	g.listener.Close()
}

func TestAGatewayThatStepsAsideGoesOnServing(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(waits)))
	client := g.enter(t, "dev+lab")
	startWaiting(t, client)
	g.stepAside(time.Hour)
	if conn, err := net.Dial("tcp", g.address); err == nil {
		conn.Close()
		t.Error("its port is still open")
	}
	startWaiting(t, client) // another session
	select {
	case <-g.stopped:
		t.Fatal("it stopped under a connection")
	default:
	}
	client.Close()
	within(t, "it stops when the last one has left", g.stopped)
}

func TestAGatewayThatStepsAsideStillStops(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(waits)))
	client := g.enter(t, "dev+lab")
	startWaiting(t, client)
	g.stepAside(time.Hour)
	g.stop()
	within(t, "it stops", g.stopped)
}

// terminalLog is a terminal that notes the time of each line that it is shown.
type terminalLog struct {
	ssh.Channel
	began time.Time
	times []time.Duration
	lines []string
}

func (l *terminalLog) Stderr() io.ReadWriter { return l }

func (l *terminalLog) Write(p []byte) (int, error) {
	l.times = append(l.times, time.Since(l.began))
	l.lines = append(l.lines, strings.TrimSpace(string(p)))
	return len(p), nil
}

// Terminals get a warning 10 minutes and 1 minute before a gateway that is replaced
// or stops ends their connections. If less time than that is left, the warnings in
// between are left out.
func TestPeopleAreToldBeforeTheirTimeIsOver(t *testing.T) {
	ends := map[string]func(t *testing.T, s *Server, cut func()) error{
		"since the gateway was replaced": func(t *testing.T, s *Server, cut func()) error { return s.linger(t.Context(), cut, s.Drain) },
		"since the gateway is stopping":  func(_ *testing.T, s *Server, cut func()) error { return s.drain(cut) },
	}
	for why, end := range ends {
		for length, want := range map[time.Duration][]time.Duration{
			30 * time.Minute: {20 * time.Minute, 29 * time.Minute},
			5 * time.Minute:  {4 * time.Minute},
			time.Minute:      nil,
		} {
			synctest.Test(t, func(t *testing.T) {
				s := &Server{Log: slog.New(slog.DiscardHandler), Drain: length}
				person, log := &conn{}, &terminalLog{began: time.Now()}
				s.serving.add(person)
				s.terminals.add(&terminal{of: &s.terminals, channel: log})
				if err := end(t, s, func() { s.serving.remove(person) }); err != nil {
					t.Error(err)
				}
				if took := time.Since(log.began); took != length+farewell {
					t.Errorf("ends after %v, want %v", took, length)
				}
				synctest.Wait()
				if !slices.Equal(log.times, want) {
					t.Errorf("of %v, told after %v, want %v", length, log.times, want)
				}
				if len(log.lines) > 0 && log.lines[len(log.lines)-1] != "berth: this connection ends in 1 minute, "+why+"; log in again to go on" {
					t.Errorf("told %q", log.lines)
				}
			})
		}
	}
}

func TestWhoIsLeftIsToldWhyItEnds(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(waits)))
	session, _, stderr := startWaiting(t, g.enter(t, "dev+lab"))
	g.stepAside(time.Millisecond)
	session.Wait()
	if said := stderr.String(); said != "berth: this connection was ended: the gateway was replaced, and its time is over; log in again\n" {
		t.Errorf("told %q", said)
	}
}
