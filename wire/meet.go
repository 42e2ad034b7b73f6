package wire

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// ErrSaidNothing is the error of Meet about who leaves without having said anything: a
// load balancer, or who else looks whether the port answers.
var ErrSaidNothing = errors.New("the client left and has said nothing")

// kexInitPatience is how long a KEXINIT may take to come after its version
// line. Clients send it as soon as they have read ours, a round trip later,
// however far or busy they are. One that is not heard is offered the ciphers and
// the host key that most clients know, with which an old one far away cannot log
// in; a client that waits for the server's, which hardly any does, loses this time.
const kexInitPatience = 2 * time.Second

// Meet sends our version line and hears what the client says, without reading
// it: x/crypto reads it again, for every byte of it is part of what both sides
// sign (RFC 4253 §8). The version line that x/crypto then sends must be the
// same, and is not sent twice.
//
// It waits for the client's version line until the deadline, which it leaves
// set, and a moment for its KEXINIT. A client that does not speak SSH-2 is
// told so, and is an error.
func (w *Conn) Meet(version string, deadline time.Time) (Hello, error) {
	defer w.heard()
	greeting := version + "\r\n"
	if _, err := w.Write([]byte(greeting)); err != nil {
		return Hello{}, err
	}
	w.mu.Lock() // who is turned away meanwhile is written to, too
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

// hearVersion waits for the client's version line, which is n bytes long.
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

// hearKexInit waits for the client's KEXINIT, which begins after n bytes. What
// does not come in time or is none is for x/crypto to judge.
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
