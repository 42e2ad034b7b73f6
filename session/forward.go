package session

import (
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// forwards are the listeners that a client asked for with ssh -R. They belong to one
// connection; another one can neither see nor cancel them. Only the goroutine that
// answers the connection's requests changes them.
type forwards struct {
	server *server
	byName map[string]*forward // key: the address or path that the client asked for
}

// forward is the result of one request, which may have several listeners.
type forward struct {
	listeners []net.Listener
	accepting sync.WaitGroup
}

func newForwards(s *server) *forwards {
	return &forwards{server: s, byName: map[string]*forward{}}
}

// tcpip answers tcpip-forward (RFC 4254 §7.1).
func (f *forwards) tcpip(request *ssh.Request) {
	var forward sshconn.TCPIPForward
	if ssh.Unmarshal(request.Payload, &forward) != nil || forward.Port > 65535 {
		sshconn.Reply(request, false, nil)
		return
	}
	if !f.mayKeep(request, tcpipKey(forward)) {
		return
	}
	listeners, err := f.listen(forward)
	if err != nil {
		f.refuse(request, err)
		return
	}
	var chosen []byte
	if forward.Port == 0 {
		_, forward.Port = hostPort(listeners[0].Addr())
		chosen = ssh.Marshal(struct{ Port uint32 }{forward.Port})
	}
	f.accept(request, chosen, tcpipKey(forward), listeners, func(conn net.Conn) {
		host, port := hostPort(conn.RemoteAddr())
		f.server.openBack("forwarded-tcpip", ssh.Marshal(sshconn.ForwardedTCPIP{
			Address: forward.Address, Port: forward.Port, // as the client asked, which is how it knows the forward
			OriginatorAddress: host, OriginatorPort: port,
		}), conn)
	})
}

// listen listens on one port at every address that the bind address stands for. Like
// sshd, it succeeds if at least one of them works.
func (f *forwards) listen(forward sshconn.TCPIPForward) (listeners []net.Listener, err error) {
	port := forward.Port
	for _, host := range bindHosts(forward.Address) {
		listener, failed := f.server.machine.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
		if failed != nil {
			err = failed
			continue
		}
		_, port = hostPort(listener.Addr())
		listeners = append(listeners, listener)
	}
	if len(listeners) > 0 {
		return listeners, nil
	}
	return nil, err
}

// bindHosts returns the addresses that a bind address stands for, as in sshd with
// GatewayPorts clientspecified.
func bindHosts(address string) []string {
	switch address {
	case "", "*":
		return []string{""}
	case "localhost":
		return []string{"127.0.0.1", "::1"}
	default:
		return []string{address}
	}
}

func tcpipKey(forward sshconn.TCPIPForward) string {
	return "tcp " + net.JoinHostPort(forward.Address, strconv.Itoa(int(forward.Port)))
}

func (f *forwards) cancelTCPIP(request *ssh.Request) {
	var forward sshconn.TCPIPForward
	sshconn.Reply(request, ssh.Unmarshal(request.Payload, &forward) == nil && f.cancel(tcpipKey(forward)), nil)
}

// streamlocal answers streamlocal-forward@openssh.com (OpenSSH's PROTOCOL, §2.4).
func (f *forwards) streamlocal(request *ssh.Request) {
	var forward sshconn.StreamlocalForward
	if ssh.Unmarshal(request.Payload, &forward) != nil || forward.Path == "" {
		sshconn.Reply(request, false, nil)
		return
	}
	if !f.mayKeep(request, "unix "+forward.Path) {
		return
	}
	listener, err := f.server.machine.Listen("unix", forward.Path)
	if err != nil {
		f.refuse(request, err)
		return
	}
	f.accept(request, nil, "unix "+forward.Path, []net.Listener{listener}, func(conn net.Conn) {
		f.server.openBack("forwarded-streamlocal@openssh.com", ssh.Marshal(sshconn.ForwardedStreamlocal{Path: forward.Path}), conn)
	})
}

func (f *forwards) cancelStreamlocal(request *ssh.Request) {
	var forward sshconn.StreamlocalForward
	sshconn.Reply(request, ssh.Unmarshal(request.Payload, &forward) == nil && f.cancel("unix "+forward.Path), nil)
}

func (f *forwards) refuse(request *ssh.Request, err error) {
	f.server.options.Log.Info("forward refused", "request", request.Type, "err", err)
	sshconn.Reply(request, false, nil)
}

// mayKeep returns false if the connection has too many forwards, or already has this
// one.
func (f *forwards) mayKeep(request *ssh.Request, key string) bool {
	var err error
	switch {
	case f.byName[key] != nil:
		err = fmt.Errorf("%s is forwarded already", key)
	case len(f.byName) >= sshconn.MaxForwards:
		err = fmt.Errorf("more than %d forwards", sshconn.MaxForwards)
	default:
		return true
	}
	f.refuse(request, err)
	return false
}

// accept keeps the listeners, replies, and only then accepts connections. The reply
// tells the client the port, and must come before the first channel that names it.
func (f *forwards) accept(request *ssh.Request, payload []byte, key string, listeners []net.Listener, serve func(net.Conn)) {
	kept := &forward{listeners: listeners}
	f.byName[key] = kept
	sshconn.Reply(request, true, payload)
	for _, listener := range listeners {
		kept.accepting.Add(1)
		f.server.tasks.Go(func() {
			defer kept.accepting.Done()
			acceptAll(listener, serve)
		})
	}
}

// acceptAll calls serve with each connection that arrives, until the listener is
// closed.
func acceptAll(listener net.Listener, serve func(net.Conn)) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		serve(conn)
	}
}

// cancel ends a forward. It returns when nothing listens any more, and when the
// client has been asked to open a channel for each connection that arrived before.
func (f *forwards) cancel(key string) bool {
	kept := f.byName[key]
	if kept == nil {
		return false
	}
	delete(f.byName, key)
	kept.close()
	return true
}

func (f *forward) close() {
	for _, listener := range f.listeners {
		listener.Close()
	}
	f.accepting.Wait()
}

func (f *forwards) closeAll() {
	for _, kept := range f.byName {
		f.server.tasks.Go(kept.close)
	}
}

func hostPort(address net.Addr) (string, uint32) {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return "", 0
	}
	return tcp.IP.String(), uint32(tcp.Port)
}
