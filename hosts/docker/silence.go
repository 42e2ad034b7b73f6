package docker

import (
	"context"
	"time"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/hosts"
)

// fallSilent remembers that the engine does not answer, or refuses to, from the first time
// on. It returns what it does.
func (s *Source) fallSilent(err error) string {
	next := s.Silence().Next(err, docker.Refuses(err))
	s.silence.Store(&next)
	return next.What()
}

// silent says of a host that its engine does not answer, or refuses to: where there are
// several boxes, which one, and since when. A connection that was just lost may be back soon.
func (s *Source) silent(host, what string, cause error) error {
	now, patience := s.Silence(), time.Duration(0)
	switch {
	case now.Cause == nil:
		now.Cause, now.Refuses = cause, docker.Refuses(cause)
	case s.isElsewhere() && time.Since(now.Since) < brief:
		patience = brief
	}
	if !s.isElsewhere() {
		now.Since = time.Time{} // of this machine's own, nobody asks since when
	}
	return &hosts.Unreachable{Host: host, Why: what + ": " + now.String(), Cause: now.Cause, Silent: now.String(), Patience: patience}
}

// Silence returns why the engine does not answer, or refuses to; without a cause while it
// answers.
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
