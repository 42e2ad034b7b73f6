package helper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"berth/machine"

	"golang.org/x/sys/unix"
)

// Client is the gateway's end of a running helper.
type Client struct {
	control *socket // nil where no descriptor crosses
	done    chan struct{}

	mux *mux // then: streams instead
	why error
}

// attach ends a meeting: far is the descriptor taken out of the process that
// announced it, and is attach's to close; nonce is what was given to the
// process.
func attach(far *os.File, nonce string) (*Client, error) {
	defer discardFile(far)
	if err := checkSocket(far, farEnd()); err != nil {
		return nil, fmt.Errorf("the helper announced something else than its socket: %w", err)
	}
	control, theirs, err := newPair(maxReply)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	if err := sendOnce(far, theirs); err != nil {
		control.Close()
		return nil, err
	}
	theirs.Close() // so that the helper's end is known to be the only one
	if err := control.expectHello(nonce); err != nil {
		control.Close()
		return nil, err
	}
	return newClient(control), nil
}

// NewPair makes a client and the file that a helper is given as its control
// socket, where it is this process's own child (see [RunChild]).
func NewPair() (*Client, *os.File, error) {
	control, theirs, err := newPair(maxReply)
	if err != nil {
		return nil, nil, err
	}
	return newClient(control), theirs, nil
}

func newClient(control *socket) *Client {
	c := &Client{control: control, done: make(chan struct{})}
	go c.watch()
	return c
}

// sendOnce sends the attach message without waiting: the other side shares
// the flags of this descriptor.
func sendOnce(far, file *os.File) error {
	body, rights := marshal(typeAttach, nil), unix.UnixRights(int(file.Fd()))
	return withFD(far, func(fd int) error {
		return unix.Sendmsg(fd, body, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
}

func (s *socket) expectHello(nonce string) error {
	hello, err := s.receiveHello()
	if err != nil {
		return err
	}
	if hello.Nonce != nonce {
		return errors.New("the helper is not the one that was started")
	}
	return hello.version().check()
}

func (s *socket) receiveHello() (helloMessage, error) {
	s.conn.SetReadDeadline(time.Now().Add(meetTimeout))
	defer s.conn.SetReadDeadline(time.Time{})
	var hello helloMessage
	packet, err := s.receive()
	if err != nil {
		return hello, fmt.Errorf("the helper does not answer: %w", err)
	}
	defer packet.close()
	if err := unmarshal(packet, typeHello, &hello); err != nil {
		return hello, fmt.Errorf("the helper answers with something else: %w", err)
	}
	return hello, nil
}

// watch waits for the helper's end; it has nothing else to say.
func (c *Client) watch() {
	defer close(c.done)
	io.Copy(io.Discard, c.control.conn)
}

// Done is closed when the helper has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close lets go of the helper, which then ends.
func (c *Client) Close() error {
	var err error
	if c.mux != nil {
		err = c.mux.Close()
	} else {
		err = c.control.Close()
	}
	<-c.done
	return err
}

// WhyStreams is nil where descriptors cross, and otherwise says why not.
func (c *Client) WhyStreams() error { return c.why }

// Machine is the container as its account, for one connection of a person. What
// the connection holds of it is let go of when it is closed.
func (c *Client) Machine() (machine.Machine, error) {
	if c.mux != nil {
		return c.mux.machine()
	}
	ours, theirs, err := newPair(maxReply)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	if err := c.control.send(typeOpen, nil, int(theirs.Fd())); err != nil {
		ours.Close()
		return nil, err
	}
	return newMachine(ours), nil
}
