package sshconn

import (
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// EOFGrace is how long an EOF is held back for the exit status that usually
// follows at once.
const EOFGrace = 100 * time.Millisecond

// Output is what a process sends to a session channel.
type Output struct {
	Channel        ssh.Channel
	Stdout, Stderr io.Reader
	Exit           <-chan Exit     // how it ended; closed without a value if nobody knows
	InputEnded     <-chan struct{} // closed when the channel's peer sent EOF
	Ended          <-chan struct{} // closed when the connection is to end: then the exit tells nothing; may be nil
	Gone           <-chan struct{} // closed when the peer closed the channel, and no exit is awaited; may be nil
	Ready          func()          // waits until the connection can take more
	Lost           func() string   // what to tell the person where no exit is known; "" for nothing; may be nil
	Answering      sync.Locker     // held while a request of the peer is answered; may be nil
}

// Drain copies both streams, says how the process ended, and closes the
// channel, in the one order that every client understands:
//
//	all stdout and stderr → exit-status or exit-signal → one EOF → CLOSE
//
// EOF comes after both streams, since x/crypto drops stderr that follows it,
// and after the exit status, since a client that has ended its own input
// answers EOF with CLOSE and would never see a status after it. Only a client
// whose input is still open gets an early EOF from a process that closed its
// output and lives on: it may be waiting for it.
//
// The answer to a request that ended the process, as a signal does, comes before
// all of its end.
//
// A peer that closes the channel ends the copies by an error; then whoever
// reads the channel's requests must close the streams.
func (o Output) Drain(tasks *Tasks) {
	defer o.Channel.Close()
	o.copyStreams(tasks)
	exit, known, eofSent := o.awaitExit()
	switch {
	case !known:
		exit, known = o.lost(eofSent)
	case o.Answering != nil:
		o.Answering.Lock() // waiting is all
		o.Answering.Unlock()
	}
	if known {
		o.Channel.SendRequest(exit.Request, false, exit.Payload)
	}
	if !eofSent {
		o.Channel.CloseWrite()
	}
}

// lost tells the person that there is nothing to tell about the process.
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
	if o.Stdout != nil { // or nothing was started
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
		case <-o.Gone: // the process may live on, which concerns nobody here
			return exit, false, eofSent
		case <-grace.C:
			if !Closed(o.InputEnded) {
				o.Channel.CloseWrite()
				eofSent = true
			}
		}
	}
}

// Closed reports whether a channel that only a close speaks on is closed.
func Closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
