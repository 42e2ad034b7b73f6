package sessions

import (
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// processes are what a session leaves behind, or must not.
func processes(t *testing.T, to harness.Target) {
	t.Run("writer_ends_with_its_reader", func(t *testing.T) {
		m := harness.Mark()
		to.Want(t, `ssh h "exec -a `+m+` yes" | head -1`, "y\n")
		harness.AwaitNoneMarked(t, m)
	})
	t.Run("reader_ends_with_its_input", func(t *testing.T) {
		m := harness.Mark()
		to.Want(t, `echo in | ssh h "exec -a `+m+` cat"`, "in\n")
		harness.AwaitNoneMarked(t, m)
	})
	t.Run("background_process_survives_and_nobody_waits", func(t *testing.T) {
		m := harness.Mark()
		to.Want(t, `ssh h "sleep `+m+` >/dev/null 2>&1 </dev/null & echo at once"`, "at once\n")
		harness.WantMarked(t, m)
	})
	t.Run("pty_is_hung_up_when_the_client_is_killed", func(t *testing.T) {
		m := harness.Mark()
		client := to.Start(t, `exec ssh -tt h "sleep `+m+`"`)
		harness.AwaitMarked(t, m)
		client.Kill()
		harness.AwaitNoneMarked(t, m)
	})
	t.Run("background_process_survives_a_killed_client", func(t *testing.T) {
		m := harness.Mark()
		client := to.Start(t, `exec ssh -tt h "setsid -f sleep `+m+` >/dev/null 2>&1 </dev/null; cat"`)
		harness.AwaitMarked(t, m)
		client.Kill()
		client.Wait(t)
		harness.WantMarked(t, m)
	})
	t.Run("killed_client_takes_its_pipes_with_it", func(t *testing.T) {
		m := harness.Mark()
		client := to.Start(t, `exec ssh h "exec -a `+m+` yes" >/dev/null`)
		harness.AwaitMarked(t, m)
		client.Kill()
		harness.AwaitNoneMarked(t, m)
	})
}
