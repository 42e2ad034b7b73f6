package life

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// used is a gateway, its doors, and the helpers that it has run.
type used struct {
	gateway *harness.Gateway
	doors   []harness.Target
	helpers func() []int
}

// leavesNothing makes connections of all kinds, most of them cut, and wants as
// many descriptors open then as before, and no more goroutines than another
// gateway has that only had a few.
func leavesNothing(t *testing.T, start func() used) {
	idle := start()
	warmUp(t, idle.gateway, idle.doors)
	least := goroutines(t, idle.gateway)
	u := start()
	g, doors := u.gateway, u.doors
	warmUp(t, g, doors) // helpers are up from here on
	watched := append(u.helpers(), g.Command.Process.Pid, int(g.Front(t)))
	before := descriptors(watched)
	t.Run("use", func(t *testing.T) {
		for _, to := range doors {
			t.Run(to.Name+"_by_openssh", func(t *testing.T) { t.Parallel(); comeAndGo(t, to, harness.Load(5, 25)) })
			t.Run(to.Name+"_cut", func(t *testing.T) { t.Parallel(); cutAtRandom(t, to, harness.Load(100, 1000)) })
		}
	})
	harness.Eventually(t, "the last connection to go", func() bool { return g.Connections(t) == 0 })
	harness.Eventually(t, fmt.Sprintf("the descriptors of %v to be as before: %v", watched, before), func() bool {
		for i, count := range descriptors(watched) {
			if count > before[i] {
				return false
			}
		}
		return true
	})
	if left := goroutines(t, g); len(left) > len(least) || len(least) == 0 {
		t.Errorf("%d goroutines are left, %d are there at the least:\n%s", len(left), len(least), strings.Join(left, "\n\n"))
	}
}

// warmUp makes some connections at once to each door. They have ended when it
// returns, but for those to the engine, which are kept for a while.
func warmUp(t *testing.T, g *harness.Gateway, doors []harness.Target) {
	t.Helper()
	for _, to := range doors {
		to.Want(t, "for i in $(seq 8); do ssh h true & done; wait", "")
	}
	harness.Eventually(t, "the connections to go", func() bool { return g.Connections(t) == 0 })
}

// goroutines are those in Berth's own code and in SSH's, of both processes. They have to
// end to tell them: the front first, while its keeper is stopped. The keeper's two that
// look after the front are left out, since they may see its end.
func goroutines(t *testing.T, g *harness.Gateway) []string {
	t.Helper()
	before := len(g.Log(t))
	front := g.Front(t)
	g.Signal(syscall.SIGSTOP)
	syscall.Kill(int(front), syscall.SIGQUIT)
	harness.Eventually(t, "the front tells its goroutines", front.IsGone)
	g.Signal(syscall.SIGQUIT)
	g.Signal(syscall.SIGCONT)
	g.AwaitEnd(t)
	if !strings.Contains(g.Log(t)[before:], "\ngithub.com/berth-ssh/berth/front.Run(") {
		t.Error("the front has not told its goroutines")
	}
	stacks := strings.Split(g.Log(t)[before:], "\n\n")
	return slices.DeleteFunc(stacks, func(stack string) bool {
		own := strings.Contains(stack, "\ngithub.com/berth-ssh/berth/") || strings.Contains(stack, "\ngolang.org/x/crypto/ssh.")
		ofFront := strings.Contains(stack, "/berth/fronts.(*Fronts).Run(") || strings.Contains(stack, "/berth/fronts.(*process).serve(") ||
			strings.Contains(stack, "/berth/fronts.(*process).serve.func1(")
		return !strings.HasPrefix(stack, "goroutine ") || !own || ofFront
	})
}

// comeAndGo makes five connections with OpenSSH's clients, so often, and as
// many that are none.
func comeAndGo(t *testing.T, to harness.Target, times int) {
	for range times {
		to.Script(t, "testdata/come-and-go.txtar")
		if conn, err := net.Dial("tcp", to.Address); err == nil {
			conn.Write([]byte("SSH-2.0-cut\r\n\x00"))
			conn.Close()
		}
	}
}

// descriptors are how many each process has open: none if it has ended, as a
// helper does that nobody uses.
func descriptors(pids []int) []int {
	counts := make([]int, len(pids))
	for i, pid := range pids {
		entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		counts[i] = len(entries)
	}
	return counts
}
