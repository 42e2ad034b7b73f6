package docker

import (
	"cmp"
	"context"
	"time"

	"github.com/berth-ssh/berth/hosts"
)

// silence is since when an engine does not answer, and why not.
type silence struct {
	since time.Time // zero while it answers, and before it was asked
	cause error
}

// fallSilent remembers that the engine does not answer, from the first time on.
func (s *Source) fallSilent(err error) {
	next := silence{time.Now(), err}
	if before := s.silence.Load(); before != nil && !before.since.IsZero() {
		next.since = before.since
	}
	s.silence.Store(&next)
}

// silent says of a host that its engine does not answer: where there are several
// boxes, which one, and since when. A connection that was just lost may be back soon.
func (s *Source) silent(host, what string, cause error) error {
	text, patience := "the engine does not answer", time.Duration(0)
	if s.isElsewhere() {
		text = "box " + s.box + " does not answer"
		if now := s.silence.Load(); now != nil && !now.since.IsZero() {
			text += " since " + now.since.Format("15:04")
			cause = cmp.Or(now.cause, cause)
			if time.Since(now.since) < brief {
				patience = brief
			}
		}
	}
	return &hosts.Unreachable{Host: host, Why: what + ": " + text, Cause: cause, Silent: true, Patience: patience}
}

// Silence returns why the engine does not answer; nil while it does.
func (s *Source) Silence() error {
	if now := s.silence.Load(); now != nil {
		return now.cause
	}
	return nil
}

// isElsewhere reports whether the source is one of several, and not this machine's own.
func (s *Source) isElsewhere() bool { return s.box != "" && s.box != hosts.LocalBox }

// whyLostTimeout bounds the question why a host went away; the answer is worth
// that much of a person's time.
const whyLostTimeout = 3 * time.Second

// whyLost says of a host on another box why it went away, as far as its engine tells
// or does not answer; "" of one on this machine, or that runs.
func (s *Source) whyLost(host hosts.Host) string {
	if !s.isElsewhere() {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), whyLostTimeout)
	defer cancel()
	_, err := s.running(ctx, host)
	if why := hosts.AsUnreachable(err); why != nil {
		return why.Why
	}
	return ""
}
