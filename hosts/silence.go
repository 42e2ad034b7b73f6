package hosts

import (
	"time"

	"github.com/berth-ssh/berth/trust"
)

const noAnswer = "does not answer"

// Silence says who tells nothing of its hosts, and why: the engine, a box or a cluster.
type Silence struct {
	Who     string
	Since   time.Time // zero before it was asked
	Cause   error     // nil while it tells, and before it was asked
	Refuses bool      // it has answered that the gateway may not ask
}

// What returns what it does, to follow its name: it does not answer, it refuses the
// gateway, or the gateway refuses its certificate. There is nothing of the cause in it: that
// is for the log, as it may name the gateway's account, or be whatever a proxy says.
func (s Silence) What() string {
	switch {
	case trust.Distrusts(s.Cause):
		return "shows a certificate that the gateway does not accept"
	case s.Refuses, trust.IsDistrusted(s.Cause):
		return "refuses the gateway"
	}
	return noAnswer
}

// IsRefusal reports whether it is there, and one of both refuses the other.
func (s Silence) IsRefusal() bool { return s.What() != noAnswer }

// String returns who does what, and since when where that is known.
func (s Silence) String() string {
	text := s.Who + " " + s.What()
	if !s.Since.IsZero() {
		text += " since " + s.Since.Format("15:04")
	}
	return text
}

// Next is the silence once another call has failed: since when the first one did.
func (s Silence) Next(err error, refuses bool) Silence {
	if s.Since.IsZero() {
		s.Since = time.Now()
	}
	s.Cause, s.Refuses = err, refuses
	return s
}
