package sshconn

import (
	"iter"

	"golang.org/x/crypto/ssh"
)

// NewChannel is a channel that a peer asks for (RFC 4254 §5.1), as an
// [ssh.NewChannel] is. Whoever serves it accepts or rejects it.
type NewChannel interface {
	// Accept accepts the channel. The caller must read its requests to their end.
	Accept() (ssh.Channel, Requests, error)

	// Reject rejects the channel.
	Reject(reason ssh.RejectionReason, message string) error

	// ChannelType is what the peer asks for, and ExtraData what it says of it.
	ChannelType() string
	ExtraData() []byte
}

// Requests are those of a channel (RFC 4254 §5.4), one after the other until it is
// closed. They are read once. What filters them does so in the goroutine of who reads
// them: one of its own would cost every idle channel a stack.
type Requests = iter.Seq[*ssh.Request]

// requestsOf are what x/crypto hands out.
func requestsOf(received <-chan *ssh.Request) Requests {
	return func(yield func(*ssh.Request) bool) {
		for request := range received {
			if !yield(request) {
				return
			}
		}
	}
}

// RefuseAll refuses a channel's requests until it is closed.
func RefuseAll(requests Requests) {
	for request := range requests {
		Reply(request, false, nil)
	}
}

// arrivedChannel is a channel as x/crypto hands it out.
type arrivedChannel struct{ ssh.NewChannel }

// Accept accepts the channel.
func (a arrivedChannel) Accept() (ssh.Channel, Requests, error) {
	channel, requests, err := a.NewChannel.Accept()
	return channel, requestsOf(requests), err
}
