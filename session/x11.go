package session

import (
	"encoding/hex"
	"fmt"
	"net"
	"strings"

	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// maxCookie is longer than any cookie of a display.
const maxCookie = 256

// x11 is a display in the machine that forwards to the client's own display (RFC 4254
// §6.3). It lives as long as its session.
type x11 struct {
	listener net.Listener
	screen   uint32
}

// requestX11 listens for programs that want a display. The cookie in the request is
// one that the client has invented, and recognises later; the real one never leaves
// the client.
func (s *session) requestX11(payload []byte) bool {
	var r sshconn.X11Request
	if ssh.Unmarshal(payload, &r) != nil || s.process != nil || s.x11 != nil {
		return false
	}
	cookie, err := hex.DecodeString(r.Cookie)
	if err != nil || len(cookie) > maxCookie || len(r.Protocol) > maxCookie {
		return false
	}
	listener, err := s.server.machine.Listen(machine.X11, string(machine.Authority(r.Protocol, cookie)))
	if err != nil {
		s.server.options.Log.Info("X11 forwarding refused", "err", err)
		return false
	}
	s.x11 = &x11{listener, r.Screen}
	s.server.tasks.Go(func() {
		acceptAll(listener, func(conn net.Conn) {
			if r.SingleConnection {
				listener.Close()
			}
			host, port := hostPort(conn.RemoteAddr())
			s.server.openBack("x11", ssh.Marshal(sshconn.X11Open{OriginatorAddress: host, OriginatorPort: port}), conn)
		})
	})
	return true
}

// env returns the variables that tell programs of the display. DISPLAY has an address
// and no name: a name could also mean ::1, where somebody else may listen.
func (x *x11) env() []string {
	if x == nil {
		return nil
	}
	display, authority, _ := strings.Cut(x.listener.Addr().String(), " ")
	return []string{fmt.Sprintf("DISPLAY=127.0.0.1:%s.%d", display, x.screen), "XAUTHORITY=" + authority}
}

func (x *x11) close() {
	if x != nil {
		x.listener.Close()
	}
}
