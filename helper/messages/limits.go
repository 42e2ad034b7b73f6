package messages

import (
	"errors"
	"time"
)

const (
	// MaxRequest is the largest message to a helper. A command line may have
	// 128 KiB (Linux's MAX_ARG_STRLEN), and a socket takes no more than its
	// default send buffer of 208 KiB.
	MaxRequest = 192 << 10

	// MaxReply is the largest message from a helper.
	MaxReply = 8 << 10

	// MaxText is the largest reason or address that a helper gives.
	MaxText = 1 << 10

	// MaxArrived is how many connections of one listener may wait for their
	// channel.
	MaxArrived = 128
)

// How long a request to the helper may take. A helper connects within 30 s
// or gives up.
const (
	StartTimeout = 15 * time.Second
	DialTimeout  = 40 * time.Second

	// SendTimeout is how long a message may wait for the other side to take
	// those before it.
	SendTimeout = 10 * time.Second
)

// ErrEnded is the error of every request to a helper that is gone.
var ErrEnded = errors.New("the helper in the container has ended")
