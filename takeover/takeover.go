// Package takeover passes the place of a gateway on to another process: the socket
// on which it listens, so that no client is refused, while the former process
// goes on serving the connections that it has.
//
// A gateway offers its place at a unix socket of its state directory ([Offer]). The
// next one takes the listening socket from there (SCM_RIGHTS, unix(7)), makes itself
// ready, and has the former one step aside ([Former.StepAside]): from then on that one
// accepts no connections. When other programs reach the next one, it ends the talk
// ([Former.Close]). One that fails before it is ready changes nothing. Clients that
// connect meanwhile wait in the kernel's queue of the socket, which both processes have.
package takeover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-ssh/berth/control"
)

const (
	// readyTimeout bounds how long the next gateway may take from the socket until
	// it is ready.
	readyTimeout = time.Minute

	// stepTimeout bounds how long the former one may take to step aside.
	stepTimeout = 10 * time.Second
)

// What the two say to each other, a byte each.
const (
	withSocket = 's' // and the socket with it
	without    = 'w' // the former one listens no more
	ready      = 'r'
	aside      = 'a'
)

func socketIn(stateDir string) string { return filepath.Join(stateDir, "takeover.sock") }

// Offer is a gateway's place, for the one that comes next. It is safe for use by
// many at once.
type Offer struct {
	listener  *net.UnixListener
	path      string
	stepAside func()
	log       *slog.Logger
	all       sync.WaitGroup
	taken     chan struct{}

	mu     sync.Mutex
	socket *os.File // that listens; nil when it is given up
	closed bool
}

// NewOffer offers the place of a gateway that listens on socket. When another one
// is ready, it calls stepAside, which must close the listener, and must not block for
// long. The socket stays the caller's.
func NewOffer(stateDir string, socket *net.TCPListener, stepAside func(), log *slog.Logger) (*Offer, error) {
	file, err := socket.File()
	if err != nil {
		return nil, err
	}
	path := socketIn(stateDir)
	listener, err := control.ListenPrivately(path)
	if err != nil {
		file.Close()
		return nil, err
	}
	o := &Offer{listener: listener, path: path, stepAside: stepAside, log: log, taken: make(chan struct{}), socket: file}
	o.all.Go(o.serve)
	return o, nil
}

// Taken is closed when another gateway has taken the place and is there for other
// programs, too.
func (o *Offer) Taken() <-chan struct{} { return o.taken }

// GiveUp closes the offer's own copy of the socket. The next gateway listens for
// itself then.
func (o *Offer) GiveUp() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.socket != nil {
		o.socket.Close()
		o.socket = nil
	}
}

// Close withdraws the offer.
func (o *Offer) Close() {
	o.withdraw()
	o.all.Wait()
}

func (o *Offer) withdraw() {
	o.GiveUp()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.closed = true
		os.Remove(o.path)
		o.listener.Close()
	}
}

// serve deals with one after the other, until one has taken the place.
func (o *Offer) serve() {
	for {
		conn, err := o.listener.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // descriptors ran out
			time.Sleep(100 * time.Millisecond)
			continue
		}
		taken, err := o.meet(conn)
		conn.Close()
		if err != nil {
			o.log.Warn("another gateway has not taken over", "err", err)
		}
		if taken {
			close(o.taken)
			return
		}
	}
}

// meet gives the socket to a gateway that has connected, and steps aside when that
// one is ready.
func (o *Offer) meet(conn *net.UnixConn) (taken bool, err error) {
	if !control.IsOwn(conn) {
		return false, errors.New("a caller of another account was refused")
	}
	conn.SetDeadline(time.Now().Add(readyTimeout))
	if err := o.give(conn); err != nil {
		return false, err
	}
	if said, err := readByte(conn); err != nil || said != ready {
		return false, fmt.Errorf("it ended before it was ready: %w", err)
	}
	o.stepAside()
	o.withdraw() // before it is told, who then makes its own
	conn.SetDeadline(time.Now().Add(stepTimeout))
	if _, err = conn.Write([]byte{aside}); err == nil {
		readByte(conn) // until it leaves: then other programs reach it
	}
	return true, err
}

func (o *Offer) give(conn *net.UnixConn) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.socket == nil {
		_, err := conn.Write([]byte{without})
		return err
	}
	_, _, err := conn.WriteMsgUnix([]byte{withSocket}, unix.UnixRights(int(o.socket.Fd())), nil)
	return err
}

// Former is the gateway whose place is taken.
type Former struct {
	// Listener is its listening socket; nil if it does not listen any more, or there
	// is no such gateway.
	Listener *net.TCPListener

	conn *net.UnixConn // nil if there is no such gateway
}

// Take takes the place that a gateway offers in a state directory. The result is empty if
// none does.
func Take(ctx context.Context, stateDir string) (*Former, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socketIn(stateDir))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return &Former{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the gateway that runs: %w", err)
	}
	f := &Former{conn: conn.(*net.UnixConn)}
	f.conn.SetDeadline(time.Now().Add(readyTimeout))
	if f.Listener, err = receive(f.conn); err != nil {
		f.Close()
		return nil, fmt.Errorf("the gateway that runs does not give its socket: %w", err)
	}
	return f, nil
}

// receive reads the socket, nil where there is none.
func receive(conn *net.UnixConn) (*net.TCPListener, error) {
	said, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	n, received, _, _, err := conn.ReadMsgUnix(said, rights)
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		return nil, io.ErrUnexpectedEOF
	case said[0] == without:
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(rights[:received])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("no descriptor came: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("no descriptor came: %w", err)
	}
	unix.CloseOnExec(fds[0])
	file := os.NewFile(uintptr(fds[0]), "listener")
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	tcp, isTCP := listener.(*net.TCPListener)
	if !isTCP {
		return nil, errors.Join(fmt.Errorf("it listens on %s, which is not TCP", listener.Addr().Network()), listener.Close())
	}
	return tcp, nil
}

// StepAside tells the former gateway that this one is ready, and returns when that one
// accepts no connections any more. It does nothing if there is none. [Former.Close] is to
// follow when other programs reach this gateway.
func (f *Former) StepAside() error {
	if f.conn == nil {
		return nil
	}
	f.conn.SetDeadline(time.Now().Add(stepTimeout))
	if _, err := f.conn.Write([]byte{ready}); err != nil {
		return err
	}
	if said, err := readByte(f.conn); err != nil || said != aside {
		return fmt.Errorf("the former gateway does not step aside: %w", err)
	}
	return nil
}

// Close ends the talk with the former gateway. If that has not stepped aside, it keeps its
// place; if it has, it waits for this before it says that it is replaced. The listener is
// not closed.
func (f *Former) Close() {
	if f.conn != nil {
		f.conn.Close()
	}
}

func readByte(conn *net.UnixConn) (byte, error) {
	b := make([]byte, 1)
	_, err := io.ReadFull(conn, b)
	return b[0], err
}
