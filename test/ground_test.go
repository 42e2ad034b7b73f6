package test

import "testing"

// suite is what is tried at every door.
func suite(t *testing.T, targets []target) {
	for _, to := range targets {
		t.Run(to.name, func(t *testing.T) {
			t.Run("oracle", to.oracle)
			t.Run("processes", to.processes)
			t.Run("bulk", to.bulk)
			t.Run("terminals", to.terminals)
			t.Run("files", to.files)
			t.Run("multiplexing", to.multiplexing)
			t.Run("forwards", to.forwards)
			t.Run("x11", to.x11)
			t.Run("traces", to.traces)
			t.Run("protocol", to.protocol)
			if targets[0].name == "sshd" { // which can be reached from there
				t.Run("jump", func(t *testing.T) { to.jump(t, targets[0].door) })
			}
		})
	}
}
