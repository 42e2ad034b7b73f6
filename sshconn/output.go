package sshconn

import (
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// EOFGrace is how long an EOF is held back, to wait for the exit status that usually
// follows at once. On an overloaded machine it may take a second; a client that gets the
// EOF first, and then ends its own input, would never see the status.
const EOFGrace = 2 * time.Second

// Output is what a process sends to a session channel.
type Output struct {
	Channel        ssh.Channel
	Stdout, Stderr io.Reader
	Exit           <-chan Exit     // how the process ended; closed without a value if that is unknown
	InputEnded     <-chan struct{} // closed when the peer has sent EOF
	Ended          <-chan struct{} // closed when the connection is to end, which makes the exit meaningless; may be nil
	Gone           <-chan struct{} // closed when the peer has closed the channel, which ends the wait for the exit; may be nil
	Ready          func()          // waits until the connection can take more
	Lost           func() string   // what to tell the person where no exit is known; "" for nothing; may be nil
	Answering      sync.Locker     // held while a request of the peer is answered; may be nil
}

// Drain copies both streams, reports how the process ended, and closes the channel,
// in the one order that every client understands:
//
//	all stdout and stderr → exit-status or exit-signal → one EOF → CLOSE
//
// EOF comes after both streams, since x/crypto drops stderr that follows it. EOF also
// comes after the exit status, since a client that has ended its own input answers
// EOF with CLOSE, and would never see a later status. There is one exception: a
// process closes its output and lives on, and the client's input is still open. Then
// the client gets EOF early, since it may be waiting for it.
//
// If a request such as a signal ended the process, its answer is sent before any of
// this end.
//
// When the peer closes the channel, the copies end with an error; then the code that
// reads the channel's requests must close the streams.
func (o Output) Drain(tasks *Tasks) {
	defer o.Channel.Close()
	o.copyStreams(tasks)
	exit, known, eofSent := o.awaitExit()
	switch {
	case !known:
		exit, known = o.lost(eofSent)
	case o.Answering != nil:
		o.Answering.Lock() // only waits for the answer
		o.Answering.Unlock()
	}
	if known {
		o.Channel.SendRequest(exit.Request, false, exit.Payload)
	}
	if !eofSent {
		o.Channel.CloseWrite()
	}
}

// lost tells the person why nothing is known about how the process ended, if Lost has
// a text. The exit status is 255 then.
func (o Output) lost(eofSent bool) (exit Exit, known bool) {
	if o.Lost == nil {
		return Exit{}, false
	}
	text := o.Lost()
	if text == "" {
		return Exit{}, false
	}
	if !eofSent {
		io.WriteString(o.Channel.Stderr(), text)
	}
	return ExitStatus(255), true
}

func (o Output) copyStreams(tasks *Tasks) {
	stderrEnded := make(chan struct{})
	tasks.Go(func() {
		defer close(stderrEnded)
		if o.Stderr != nil {
			Copy(o.Channel.Stderr(), o.Stderr, o.Ready)
		}
	})
	if o.Stdout != nil { // nil if nothing was started
		Copy(o.Channel, o.Stdout, o.Ready)
	}
	<-stderrEnded
}

func (o Output) awaitExit() (exit Exit, known, eofSent bool) {
	grace := time.NewTimer(EOFGrace)
	defer grace.Stop()
	for {
		select {
		case exit, known = <-o.Exit:
			return exit, known && !Closed(o.Ended), eofSent
		case <-o.Ended:
			return exit, false, eofSent
		case <-o.Gone: // the process may live on, but nobody here waits for it
			return exit, false, eofSent
		case <-grace.C:
			if !Closed(o.InputEnded) && len(o.Exit) == 0 {
				o.Channel.CloseWrite()
				eofSent = true
			}
		}
	}
}

// Closed reports whether c is closed. Nothing may ever be sent on c.
func Closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
