package docker

import (
	"context"
	"time"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/hosts"
)

// fallSilent records that the engine does not answer, or refuses to, since the first
// time. It returns which of the two.
func (s *Source) fallSilent(err error) string {
	next := s.Silence().Next(err, docker.Refuses(err))
	s.silence.Store(&next)
	return next.What()
}

// silent returns the error about a host whose engine does not answer, or refuses to:
// with the box if there are several, and since when. A connection that was just lost
// may be back soon.
func (s *Source) silent(host, what string, cause error) error {
	now, patience := s.Silence(), time.Duration(0)
	switch {
	case now.Cause == nil:
		now.Cause, now.Refuses = cause, docker.Refuses(cause)
	case s.isElsewhere() && time.Since(now.Since) < brief:
		patience = brief
	}
	if !s.isElsewhere() {
		now.Since = time.Time{} // not shown for this machine's own engine
	}
	return &hosts.Unreachable{Host: host, Why: what + ": " + now.String(), Cause: now.Cause, Silent: now.String(), Patience: patience}
}

// Silence returns why the engine does not answer, or refuses to. It has no cause
// while the engine answers.
func (s *Source) Silence() hosts.Silence {
	var now hosts.Silence
	if kept := s.silence.Load(); kept != nil {
		now = *kept
	}
	now.Who = "the engine"
	if s.isElsewhere() {
		now.Who = "box " + s.box
	}
	return now
}

// isElsewhere reports whether the engine is one of several, and not this machine's
// own.
func (s *Source) isElsewhere() bool { return s.box != "" && s.box != hosts.LocalBox }

// whyLostTimeout bounds the search for the reason why a host went away, while a
// person waits.
const whyLostTimeout = 3 * time.Second

// whyLost returns why a host on another box went away, as far as its engine says; ""
// for a host on this machine, or one that runs.
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
