package gateway

import (
	"sync"
	"sync/atomic"

	"github.com/berth-ssh/berth/gate"
	"github.com/berth-ssh/berth/machine"

	"golang.org/x/crypto/ssh"
)

// Wall shows lines on every terminal, and returns on how many. It does not wait: a
// terminal that has not taken the previous lines yet is left out. The lines are shown
// as they are.
func (s *Server) Wall(lines ...string) int {
	var text []byte
	for _, line := range lines {
		text = append(text, "\r\n"+line...)
	}
	return s.terminals.show(append(text, "\r\n"...))
}

// terminals holds the sessions, on both routes, in which a shell or command was
// started at a terminal.
type terminals struct {
	mu  sync.Mutex
	all map[*terminal]bool
}

type terminal struct {
	of      *terminals
	channel ssh.Channel
	isOne   bool // the client has asked for a terminal; used only by granted
	shows   atomic.Bool
}

// watch returns a watcher that adds a session to t when something is started at its
// terminal.
func (t *terminals) watch(channel ssh.Channel) *gate.Watcher {
	one := &terminal{of: t, channel: channel}
	return &gate.Watcher{Channel: channel, Granted: one.granted, Ended: one.ended}
}

func (t *terminal) granted(request *ssh.Request) (why string) {
	switch request.Type {
	case "pty-req":
		t.isOne = true
	case machine.Shell, machine.Exec:
		if t.isOne {
			t.of.add(t)
		}
	}
	return ""
}

func (t *terminal) ended() {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	delete(t.of.all, t)
}

func (t *terminals) add(one *terminal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[*terminal]bool{}
	}
	t.all[one] = true
}

func (t *terminals) show(text []byte) (shown int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for one := range t.all {
		if one.shows.CompareAndSwap(false, true) {
			shown++
			go one.show(text)
		}
	}
	return shown
}

// show writes the text. It returns when the client has room for it, or when its
// channel is closed.
func (t *terminal) show(text []byte) {
	defer t.shows.Store(false)
	t.channel.Stderr().Write(text)
}
