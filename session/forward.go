package session

import (
	"net"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"
)

// maxForwards bounds the listeners that one connection may hold.
const maxForwards = 64

// forwards are the listeners a client asked for with -R. They are the
// connection's own: another connection can neither see nor cancel them.
type forwards struct {
	server *server

	mu        sync.Mutex
	listeners map[string]net.Listener // by what the client called it
	closed    bool
}

func newForwards(s *server) *forwards {
	return &forwards{server: s, listeners: map[string]net.Listener{}}
}

// tcpip answers tcpip-forward (RFC 4254 §7.1).
func (f *forwards) tcpip(request *ssh.Request) {
	var forward tcpipForward
	if ssh.Unmarshal(request.Payload, &forward) != nil || forward.Port > 65535 {
		reply(request, false, nil)
		return
	}
	listener, err := f.server.machine.Listen("tcp", net.JoinHostPort(bindHost(forward.Address), strconv.Itoa(int(forward.Port))))
	if err != nil {
		f.refuse(request, err)
		return
	}
	var chosen []byte
	if forward.Port == 0 {
		_, port := hostPort(listener.Addr())
		forward.Port = port
		chosen = ssh.Marshal(struct{ Port uint32 }{port})
	}
	f.accept(request, chosen, tcpipKey(forward), listener, func(conn net.Conn) {
		host, port := hostPort(conn.RemoteAddr())
		f.server.openBack("forwarded-tcpip", ssh.Marshal(forwardedTCPIP{
			Address: forward.Address, Port: forward.Port, // as asked: the client knows it by that
			OriginatorAddress: host, OriginatorPort: port,
		}), conn)
	})
}

// bindHost reads a bind address as sshd does with GatewayPorts clientspecified:
// what is not a name for "everywhere" is meant as it stands.
func bindHost(address string) string {
	switch address {
	case "", "*":
		return ""
	case "localhost":
		return "127.0.0.1"
	default:
		return address
	}
}

func tcpipKey(forward tcpipForward) string {
	return "tcp " + net.JoinHostPort(forward.Address, strconv.Itoa(int(forward.Port)))
}

func (f *forwards) cancelTCPIP(request *ssh.Request) {
	var forward tcpipForward
	reply(request, ssh.Unmarshal(request.Payload, &forward) == nil && f.cancel(tcpipKey(forward)), nil)
}

// streamlocal answers streamlocal-forward@openssh.com (OpenSSH's PROTOCOL, §2.4).
func (f *forwards) streamlocal(request *ssh.Request) {
	var forward streamlocalForward
	if ssh.Unmarshal(request.Payload, &forward) != nil || forward.Path == "" {
		reply(request, false, nil)
		return
	}
	listener, err := f.server.machine.Listen("unix", forward.Path)
	if err != nil {
		f.refuse(request, err)
		return
	}
	f.accept(request, nil, "unix "+forward.Path, listener, func(conn net.Conn) {
		f.server.openBack("forwarded-streamlocal@openssh.com", ssh.Marshal(forwardedStreamlocal{Path: forward.Path}), conn)
	})
}

func (f *forwards) cancelStreamlocal(request *ssh.Request) {
	var forward streamlocalForward
	reply(request, ssh.Unmarshal(request.Payload, &forward) == nil && f.cancel("unix "+forward.Path), nil)
}

func (f *forwards) refuse(request *ssh.Request, err error) {
	f.server.options.Log.Info("forward refused", "request", request.Type, "err", err)
	reply(request, false, nil)
}

// accept keeps the listener, replies, and only then accepts: the reply tells
// the client the port, and must come before the first channel that names it.
func (f *forwards) accept(request *ssh.Request, payload []byte, key string, listener net.Listener, serve func(net.Conn)) {
	if !f.keep(key, listener) {
		listener.Close()
		reply(request, false, nil)
		return
	}
	reply(request, true, payload)
	f.server.acceptAll(listener, serve)
}

// acceptAll serves what arrives at a listener until it is closed.
func (s *server) acceptAll(listener net.Listener, serve func(net.Conn)) {
	s.tasks.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.tasks.Go(func() { serve(conn) })
		}
	})
}

func (f *forwards) keep(key string, listener net.Listener) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.listeners[key] != nil || len(f.listeners) >= maxForwards {
		return false
	}
	f.listeners[key] = listener
	return true
}

func (f *forwards) cancel(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	listener := f.listeners[key]
	if listener == nil {
		return false
	}
	delete(f.listeners, key)
	listener.Close()
	return true
}

func (f *forwards) closeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, listener := range f.listeners {
		listener.Close()
	}
}

func hostPort(address net.Addr) (string, uint32) {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return "", 0
	}
	return tcp.IP.String(), uint32(tcp.Port)
}
