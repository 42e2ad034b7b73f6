// Package proxy takes connections that come through a load balancer or another
// proxy, which says by the PROXY protocol whose they are: versions 1 and 2, as
// HAProxy defines them.
//
// Only listed networks are believed, and from there the header must come: a
// connection of theirs without one, or with a wrong one, is closed. From anywhere
// else a header is nothing but bytes, and no SSH.
package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
)

const (
	// headerTimeout bounds how long a proxy may take to say whose a connection is.
	headerTimeout = 5 * time.Second

	// maxWaiting is how many connections may be without their header at a time.
	maxWaiting = 256

	// maxHeader is the size of a header, in bytes: far more than addresses take,
	// since version 2 may say other things too.
	maxHeader = 2048
)

// Listener accepts the connections of another listener, with the addresses of
// those they are from.
type Listener struct {
	net.Listener
	from []netip.Prefix
	log  *slog.Logger

	accepted chan accepted
	closed   chan struct{}
	close    sync.Once
	all      sync.WaitGroup
	meeting  sync.WaitGroup // proxies
}

type accepted struct {
	conn net.Conn
	err  error
}

// Listen takes over a listener. The networks are those whose proxies are
// believed.
func Listen(listener net.Listener, from []netip.Prefix, log *slog.Logger) *Listener {
	l := &Listener{Listener: listener, from: from, log: log, accepted: make(chan accepted), closed: make(chan struct{})}
	l.all.Go(l.run)
	return l
}

// Accept waits for the next connection with an address. After the underlying listener
// was closed, it still returns the connections that were accepted before, and then
// the error.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case next := <-l.accepted:
		return next.conn, next.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close closes the listener, and the connections that nobody has accepted.
func (l *Listener) Close() error {
	err := l.Listener.Close()
	l.close.Do(func() { close(l.closed) })
	l.all.Wait()
	return err
}

func (l *Listener) run() {
	waiting := make(chan struct{}, maxWaiting)
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				l.give(nil, err)
				continue
			}
			l.meeting.Wait()
			l.give(nil, err)
			return
		}
		socket, isTCP := conn.(*net.TCPConn)
		if !isTCP || !l.believes(socket) {
			l.give(conn, nil)
			continue
		}
		select {
		case waiting <- struct{}{}:
			l.meeting.Add(1)
			l.all.Go(func() {
				defer l.meeting.Done()
				defer func() { <-waiting }()
				l.meet(socket)
			})
		default:
			l.log.Warn("refused: too many connections of proxies without a PROXY header", "proxy", conn.RemoteAddr().String())
			conn.Close()
		}
	}
}

// give hands over to Accept, unless the listener is closed.
func (l *Listener) give(conn net.Conn, err error) {
	select {
	case l.accepted <- accepted{conn, err}:
	case <-l.closed:
		if conn != nil {
			conn.Close()
		}
	}
}

func (l *Listener) believes(conn *net.TCPConn) bool {
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	return ok && slices.ContainsFunc(l.from, func(network netip.Prefix) bool {
		return network.Contains(remote.AddrPort().Addr().Unmap().WithZone(""))
	})
}

// meet reads the header of a connection.
func (l *Listener) meet(socket *net.TCPConn) {
	stop := make(chan struct{})
	defer close(stop)
	l.all.Go(func() {
		select {
		case <-l.closed:
			socket.SetReadDeadline(time.Now())
		case <-stop:
		}
	})
	socket.SetReadDeadline(time.Now().Add(headerTimeout))
	client, err := readHeader(socket)
	if err != nil {
		l.log.Info("refused: no PROXY header of a proxy", "proxy", socket.RemoteAddr().String(), "err", err)
		socket.Close()
		return
	}
	socket.SetReadDeadline(time.Time{})
	if client == nil {
		l.give(socket, nil)
		return
	}
	l.give(&Conn{socket, client}, nil)
}

// readHeader reads a header and not a byte more. The address is nil where the
// proxy speaks for itself, as to try whether somebody is there.
func readHeader(r io.Reader) (*net.TCPAddr, error) {
	text, err := headerOf(r)
	if err != nil {
		return nil, err
	}
	header, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(text), maxHeader))
	if err != nil {
		return nil, err
	}
	if header.Command.IsLocal() {
		return nil, nil
	}
	client, _, ok := header.TCPAddrs()
	if !ok || client.Port == 0 || !client.AddrPort().Addr().IsValid() {
		return nil, errors.New("it names no TCP address")
	}
	return client, nil
}

var errNoHeader = errors.New("what came is no PROXY header")

// headerOf cuts the bytes of a header out of what comes. It looks only for their
// end; what they say, the library reads.
func headerOf(r io.Reader) ([]byte, error) {
	text := make([]byte, 16, maxHeader)
	if _, err := io.ReadFull(r, text[:5]); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoHeader, err)
	}
	switch {
	case bytes.Equal(text[:5], proxyproto.SIGV1):
		return lineOf(r, text[:5])
	case !bytes.Equal(text[:5], proxyproto.SIGV2[:5]):
		return nil, errNoHeader
	}
	if _, err := io.ReadFull(r, text[5:]); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoHeader, err)
	}
	length := int(binary.BigEndian.Uint16(text[14:]))
	if length > maxHeader-16 {
		return nil, fmt.Errorf("it has %d bytes, more than %d", length, maxHeader-16)
	}
	_, err := io.ReadFull(r, text[16:16+length])
	return text[:16+length], err
}

// lineOf reads a header of version 1 to the end of its line.
func lineOf(r io.Reader, text []byte) ([]byte, error) {
	const maxLine = 107
	for len(text) < maxLine && text[len(text)-1] != '\n' {
		if _, err := io.ReadFull(r, text[len(text):len(text)+1]); err != nil {
			return nil, err
		}
		text = text[:len(text)+1]
	}
	return text, nil
}

// Conn is a connection through a proxy. It is the socket with another address.
type Conn struct {
	*net.TCPConn
	client *net.TCPAddr
}

// RemoteAddr is the client's.
func (c *Conn) RemoteAddr() net.Addr { return c.client }

// Socket is the connection to the proxy, of which nothing but the header was
// read.
func (c *Conn) Socket() net.Conn { return c.TCPConn }
