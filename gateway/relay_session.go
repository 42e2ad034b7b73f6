package gateway

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// session relays a session channel. Input is copied as it comes. Output follows the
// one order of closing (see sshconn.Output).
func (j *joined) session(outer, inner channel) {
	// The first request, before any of the client's.
	inner.SendRequest("env", false, ssh.Marshal(sshconn.EnvRequest{Name: labels.EnvUser, Value: j.to.person}))
	started, eof, inputEnded := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var newline atomic.Value
	newline.Store("\n")
	exit := make(chan sshconn.Exit, 1)
	start := sync.OnceFunc(func() { close(started) })
	var answering sync.Mutex
	var parts sync.WaitGroup
	parts.Add(3)
	j.tasks.Go(func() {
		defer parts.Done()
		defer close(inputEnded)
		<-started // an EOF that came before its command would be lost
		sshconn.Copy(inner, sshconn.NotifyEnd(outer, eof), j.host.wire.Ready)
		inner.CloseWrite()
	})
	j.tasks.Go(func() {
		defer parts.Done()
		j.passInward(outer, inner, start, &newline, &answering)
		if !sshconn.Closed(inputEnded) {
			inner.SendRequest("eow@openssh.com", false, nil) // the client reads no more
		}
		<-inputEnded // the process may still be reading its input
		inner.Close()
	})
	j.tasks.Go(func() {
		defer parts.Done()
		defer close(exit)
		j.passOutward(inner, outer, exit)
		answering.Lock() // waits for an answer that goes before the end
		start()          // of a host that is gone, nothing more is to be waited for
		answering.Unlock()
	})
	<-started // output must not come before the answer to the request that started it
	if newline.Load() == "\r\n" {
		j.showNotice(outer)
	}
	sshconn.Output{
		Channel: outer, Stdout: inner, Stderr: inner.Stderr(),
		Exit: exit, InputEnded: eof, Ready: j.client.wire.Ready, Answering: &answering,
		Lost: func() string { return j.lostText(newline.Load().(string)) },
	}.Drain(j.tasks)
	parts.Wait()
}

// showNotice shows the notice, and the banner of the host's sshd, in the first
// session with a terminal. The sshd sent the banner before its login; for the client
// that time is over. Without a terminal nothing is shown: a program could take it for
// output.
func (j *joined) showNotice(outer channel) {
	j.noticed.Do(func() {
		lines := wordsOf(j.host.banner)
		if j.to.notice != nil {
			lines = append(j.to.notice(), lines...)
		}
		for _, line := range lines {
			io.WriteString(outer.Stderr(), line+"\r\n")
		}
	})
}

// passInward passes a session's requests on until it is closed, and calls start when
// the one that starts its command has been answered.
func (j *joined) passInward(outer, inner channel, start func(), newline *atomic.Value, answering sync.Locker) {
	defer start()
	for request := range outer.requests {
		if _, ok := sshconn.AcceptEnv(request.Payload); request.Type == "env" && !ok {
			sshconn.Reply(request, false, nil)
			continue
		}
		answering.Lock()
		passRequest(request, inner)
		answering.Unlock()
		switch request.Type {
		case "pty-req":
			newline.Store("\r\n") // the client's terminal is raw from then on
		case machine.Shell, machine.Exec, machine.Subsystem:
			start()
		}
	}
}

// goneGrace is how long lostText waits.
const goneGrace = 100 * time.Millisecond

// lostText returns the text for a session that ended without an exit status: that the
// host is gone, or "". It waits for a moment, since the channels of a lost host are
// closed before the connection is known to have ended.
func (j *joined) lostText(newline string) string {
	select {
	case <-j.hostGone:
		return j.lost() + newline
	case <-time.After(goneGrace):
		return ""
	}
}

// passOutward passes a session's requests to the client. It holds back the exit
// status, which is sent after the output.
func (j *joined) passOutward(inner, outer channel, exit chan<- sshconn.Exit) {
	for request := range inner.requests {
		switch request.Type {
		case "exit-status", "exit-signal":
			select {
			case exit <- sshconn.Exit{Request: request.Type, Payload: request.Payload}:
			default: // only the first one counts
			}
			sshconn.Reply(request, true, nil)
		case "eow@openssh.com": // the host takes this gateway for an OpenSSH client
			if sshconn.IsOpenSSH(j.client.ClientVersion()) {
				passRequest(request, outer)
			}
		default:
			passRequest(request, outer)
		}
	}
}
