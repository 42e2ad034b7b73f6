package harness

import (
	"slices"
	"syscall"
	"testing"
)

// DiesWithItsSessions kills the gateway while a session runs at one of its doors, and
// checks that the kernel then ends everything that the gateway held, also its
// helpers.
func DiesWithItsSessions(t *testing.T, g *Gateway, to Target, helpersOf func() []int) {
	t.Helper()
	m := Mark()
	c := to.Start(t, `exec ssh -tt h "sleep `+m+`"`)
	AwaitMarked(t, m)
	helpers := helpersOf()
	if len(helpers) == 0 {
		t.Fatal("no helper runs: its end would not be noticed")
	}
	g.Signal(syscall.SIGKILL)
	c.Wait(t)
	AwaitNoneMarked(t, m)
	Eventually(t, "the helper ends", func() bool { return !slices.ContainsFunc(helpers, IsHelper) })
}
