package harness

import "testing"

// Subject is a test that is run at every door.
type Subject struct {
	Name string
	Ask  func(*testing.T, Target)
}

// AtEveryDoor runs tests at every kind of door. A bare sshd, route sshd and route
// local lead to this machine. The sshd of a container, route sshd and route exec (by
// descriptors) lead to that container. Route exec by streams leads to a container
// whose engine is behind TLS, and, if there is a cluster, to pods on both of its
// nodes.
func AtEveryDoor(t *testing.T, subjects ...Subject) {
	askAll(t, subjects, 0)
}

// AtGatewaysDoors is AtEveryDoor without the bare sshds, for what the gateway
// promises and sshd does not.
func AtGatewaysDoors(t *testing.T, subjects ...Subject) {
	askAll(t, subjects, 1)
}

// askAll runs the tests, but leaves out the first doors of each machine.
func askAll(t *testing.T, subjects []Subject, over int) {
	t.Run("machine", func(t *testing.T) { ask(t, subjects, StartMachine(t).Targets()[over:]) })
	c := StartContainer(t)
	t.Run("container", func(t *testing.T) { ask(t, subjects, c.Targets(t)[over:]) })
	t.Run("streams", func(t *testing.T) { ask(t, subjects, []Target{StartStreams(t, c).Door}) })
	if HasCluster() {
		t.Run("pods", func(t *testing.T) { ask(t, subjects, StartPods(t, c)) })
	}
}

func ask(t *testing.T, subjects []Subject, targets []Target) {
	for _, to := range targets {
		t.Run(to.Name, func(t *testing.T) {
			for _, s := range subjects {
				t.Run(s.Name, func(t *testing.T) { s.Ask(t, to) })
			}
		})
	}
}
