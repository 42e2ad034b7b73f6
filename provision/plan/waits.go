package plan

import "github.com/berth-ssh/berth/provision/compose"

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

// jobsIn returns the containers of services whose commands are meant to end: other
// services wait for that.
func jobsIn(want compose.Wanted) map[string]bool {
	jobs := map[string]bool{}
	for _, s := range want.Services {
		for _, d := range s.After {
			if d.Until == compose.Completed {
				jobs[d.Container] = true
			}
		}
	}
	return jobs
}
