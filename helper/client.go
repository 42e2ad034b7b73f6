package helper

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/berth-ssh/berth/helper/descriptors"
	"github.com/berth-ssh/berth/helper/messages"
	"github.com/berth-ssh/berth/helper/streams"
	"github.com/berth-ssh/berth/machine"

	"golang.org/x/sys/unix"
)

// Client is the gateway's end of a running helper.
type Client struct {
	control *descriptors.Socket // nil where no descriptor crosses
	done    chan struct{}

	shared *shared // nil where descriptors cross
	why    error
}

// attach finishes a meeting over a descriptor that was taken out of the helper's
// process. It sends the helper its control socket over far, and checks that the
// helper answers with the nonce that it was given. It closes far.
func attach(far *os.File, nonce string) (*Client, error) {
	defer descriptors.Discard(far)
	if err := descriptors.CheckSocket(far); err != nil {
		return nil, fmt.Errorf("the helper announced something else than its socket: %w", err)
	}
	control, theirs, err := descriptors.NewPair(messages.MaxReply)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	if err := sendOnce(far, theirs); err != nil {
		control.Close()
		return nil, err
	}
	theirs.Close() // so that the helper holds the only copy, and its end is noticed
	if err := expectHello(control, nonce); err != nil {
		control.Close()
		return nil, err
	}
	return newClient(control), nil
}

// NewPair returns a client and the other end of its control socket, for a helper that
// the caller starts as its own child (see [RunChild]).
func NewPair() (*Client, *os.File, error) {
	control, theirs, err := descriptors.NewPair(messages.MaxReply)
	if err != nil {
		return nil, nil, err
	}
	control.Peer = messages.Current()
	return newClient(control), theirs, nil
}

func newClient(control *descriptors.Socket) *Client {
	c := &Client{control: control, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		control.AwaitEnd()
	}()
	return c
}

// newStreamsClient returns a client that talks to its helper over streams; why says
// what keeps descriptors from crossing.
func newStreamsClient(standard streams.Standard, peer messages.Version, why error) *Client {
	c := &Client{why: why, done: make(chan struct{})}
	c.shared = newShared(standard, peer, sync.OnceFunc(func() { close(c.done) }))
	return c
}

// sendOnce sends the attach message, and fails instead of waiting: the container
// shares the descriptor's flags, and could make a call on it block.
func sendOnce(far, file *os.File) error {
	body, rights := messages.Marshal(messages.TypeAttach, nil), unix.UnixRights(int(file.Fd()))
	return machine.WithFD(far, func(fd int) error {
		return unix.Sendmsg(fd, body, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
}

func expectHello(from *descriptors.Socket, nonce string) error {
	hello, err := receiveHello(from)
	if err != nil {
		return err
	}
	if hello.Nonce != nonce {
		return errors.New("the helper is not the one that was started")
	}
	return hello.Version().Check()
}

func receiveHello(from *descriptors.Socket) (messages.Hello, error) {
	var hello messages.Hello
	packet, err := from.ReceiveWithin(meetTimeout)
	if err != nil {
		return hello, fmt.Errorf("the helper does not answer: %w", err)
	}
	defer packet.Close()
	if err := packet.As(messages.TypeHello, &hello); err != nil {
		return hello, fmt.Errorf("the helper answers with something else: %w", err)
	}
	from.Peer = hello.Version()
	return hello, nil
}

// Done is closed when the helper has ended, or when it opens no more machines.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close releases the helper, which then ends.
func (c *Client) Close() error {
	if c.shared != nil {
		return c.shared.close()
	}
	err := c.control.Close()
	<-c.done
	return err
}

// WhyStreams returns why no descriptor can cross, or nil if they can.
func (c *Client) WhyStreams() error { return c.why }
