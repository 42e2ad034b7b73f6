package sshconn

import "testing"

func FuzzExit(f *testing.F) {
	f.Add("exit-status", string(ExitStatus(7).Payload))
	f.Add("exit-signal", string(ExitSignal("KILL", true).Payload))
	f.Fuzz(func(t *testing.T, request, payload string) {
		exit, err := ParseExit(request, payload)
		if err != nil {
			return
		}
		again, err := ParseExit(exit.Request, string(exit.Payload))
		if err != nil || string(again.Payload) != string(exit.Payload) {
			t.Errorf("%q does not read back: %v", exit, err)
		}
	})
}
