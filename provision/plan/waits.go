package plan

import (
	"slices"

	"berth/provision/compose"
)

// waits adds a step for each service that this one waits for before it starts.
func (p *Plan) waits(s compose.Service) {
	for _, d := range s.After {
		cause := s.Name + " starts when it is healthy"
		if d.Until == compose.Completed {
			cause = s.Name + " starts when it has done its work"
		}
		p.add(Step{Op: OpWait, Kind: KindContainer, Name: d.Container, Cause: cause, Until: d})
	}
}

// isJob reports whether a service is there to end: another starts when it has.
func isJob(s compose.Service, want compose.Wanted) bool {
	return slices.ContainsFunc(want.Services, func(other compose.Service) bool {
		return slices.ContainsFunc(other.After, func(d compose.Dependency) bool { return d.Container == s.Container && d.Until == compose.Completed })
	})
}
