package sshconn

import (
	"iter"

	"golang.org/x/crypto/ssh"
)

// NewChannel is a channel that a peer asks to open (RFC 4254 §5.1), like an
// [ssh.NewChannel]. Exactly one of Accept and Reject must be called.
type NewChannel interface {
	// Accept accepts the channel. The caller must read its requests to their end.
	Accept() (ssh.Channel, Requests, error)

	// Reject rejects the channel.
	Reject(reason ssh.RejectionReason, message string) error

	// ChannelType is the type of the channel; ExtraData is the type's own data in the
	// request.
	ChannelType() string
	ExtraData() []byte
}

// Requests are the requests on a channel (RFC 4254 §5.4), in order, until the channel
// is closed. They can be read only once. A filter runs in the goroutine that reads
// them: a goroutine of its own would cost every idle channel a stack.
type Requests = iter.Seq[*ssh.Request]

// requestsOf returns the requests that x/crypto delivers on a Go channel.
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

// arrivedChannel is a channel as x/crypto delivers it.
type arrivedChannel struct{ ssh.NewChannel }

// Accept accepts the channel.
func (a arrivedChannel) Accept() (ssh.Channel, Requests, error) {
	channel, requests, err := a.NewChannel.Accept()
	return channel, requestsOf(requests), err
}
