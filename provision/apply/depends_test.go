package apply

import (
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/provision/compose"
)

func TestWhenAConditionIsMet(t *testing.T) {
	is := func(status container.ContainerState, code int, health container.HealthStatus) container.InspectResponse {
		c := container.InspectResponse{State: &container.State{Status: status, ExitCode: code}}
		if health != "" {
			c.State.Health = &container.Health{Status: health}
		}
		return c
	}
	for name, c := range map[string]struct {
		until compose.Condition
		is    container.InspectResponse
		met   bool
		never string
	}{
		"a job at work":           {compose.Completed, is("running", 0, ""), false, ""},
		"a job that is done":      {compose.Completed, is("exited", 0, ""), true, ""},
		"a job that failed":       {compose.Completed, is("exited", 3, ""), false, "its command ended with code 3"},
		"healthy":                 {compose.Healthy, is("running", 0, container.Healthy), true, ""},
		"not yet":                 {compose.Healthy, is("running", 0, container.Starting), false, ""},
		"not any more":            {compose.Healthy, is("running", 0, container.Unhealthy), false, "its healthcheck fails"},
		"nobody can say":          {compose.Healthy, is("running", 0, ""), false, "it has no healthcheck, so nobody can say when it is healthy"},
		"it ended while waited":   {compose.Healthy, is("exited", 1, container.Starting), false, "its command ended with code 1"},
		"a job that starts again": {compose.Completed, is("restarting", 1, ""), false, ""},
	} {
		if met, never := isMet(c.until, c.is); met != c.met || never != c.never {
			t.Errorf("%s: %v, %q", name, met, never)
		}
	}
}
