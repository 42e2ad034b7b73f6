package session

import (
	"net"
	"sync"
)

// agent is a socket in the machine that forwards to the client's own agent (OpenSSH's
// PROTOCOL.agent). It exists from the client's first request for it, for all sessions
// of the connection, until the connection ends.
type agent struct {
	mu       sync.Mutex
	listener net.Listener
	closed   bool
}

func (a *agent) listen(s *server) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.listener != nil || a.closed {
		return !a.closed
	}
	listener, err := s.machine.Listen("unix", "")
	if err != nil {
		s.options.Log.Info("agent forwarding refused", "err", err)
		return false
	}
	a.listener = listener
	s.tasks.Go(func() {
		acceptAll(listener, func(conn net.Conn) { s.openBack("auth-agent@openssh.com", nil, conn) })
	})
	return true
}

func (a *agent) path() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.listener == nil {
		return ""
	}
	return a.listener.Addr().String()
}

func (a *agent) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.listener != nil {
		a.listener.Close()
	}
}
