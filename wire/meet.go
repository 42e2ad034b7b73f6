package wire

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// ErrSaidNothing is Meet's error about a client that left without sending a byte,
// such as a load balancer or another program that checks whether the port answers.
var ErrSaidNothing = errors.New("the client left and has said nothing")

// kexInitPatience is how long Meet waits for a client's KEXINIT after its version
// line. Clients send it a round trip after ours, as soon as they have read our
// version line. If it comes too late, the client is offered only the ciphers and the
// host key that most clients know; an old client that is far away cannot log in then.
// A client that waits for the server's KEXINIT first (hardly any does) makes Meet
// wait for the whole time.
const kexInitPatience = 2 * time.Second

// Meet sends our version line and looks at the client's first bytes without consuming
// them: x/crypto reads them again, since every byte is part of what both sides sign
// (RFC 4253 §8). x/crypto must then send the same version line, which is dropped
// instead of being sent twice.
//
// Meet waits for the client's version line until the deadline, and leaves that set,
// then for up to kexInitPatience for its KEXINIT. A client that does not speak SSH-2
// is told so, and Meet returns an error.
func (w *Conn) Meet(version string, deadline time.Time) (Hello, error) {
	defer w.heard()
	greeting := version + "\r\n"
	if _, err := w.Write([]byte(greeting)); err != nil {
		return Hello{}, err
	}
	w.mu.Lock() // another goroutine may be writing that the client is turned away
	w.greeted = greeting
	w.mu.Unlock()

	w.Conn.SetDeadline(deadline)
	hello, n, err := w.hearVersion()
	if err != nil {
		return Hello{}, err
	}
	w.Conn.SetReadDeadline(earlier(deadline, time.Now().Add(kexInitPatience)))
	defer w.Conn.SetReadDeadline(deadline)
	return hello, w.hearKexInit(&hello, n)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// hearVersion waits for the client's version line and returns it with its length, n
// bytes.
func (w *Conn) hearVersion() (hello Hello, n int, err error) {
	for {
		hello.Version, n, err = parseVersion(w.reader.peek())
		if refused, ok := errors.AsType[*notSSH2](err); ok {
			w.Write([]byte(refused.reply))
		}
		if !errors.Is(err, errIncomplete) {
			return hello, n, err
		}
		err := w.reader.fill()
		left := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
		switch {
		case left && len(w.reader.peek()) == 0:
			return hello, 0, ErrSaidNothing
		case err != nil:
			return hello, 0, err
		}
	}
}

// hearKexInit waits for the client's KEXINIT, which begins after n bytes. If it does
// not come in time, or is malformed, hearKexInit returns no error: x/crypto will
// judge it.
func (w *Conn) hearKexInit(hello *Hello, n int) error {
	for {
		if err := hello.parseKexInit(w.reader.peek()[n:]); !errors.Is(err, errIncomplete) {
			return nil
		}
		switch err := w.reader.fill(); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
	}
}
