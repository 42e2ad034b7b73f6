package load

import (
	"sync"
	"testing"

	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
)

// TestIdleConnections holds many connections that do nothing, each tenth with a
// shell in a terminal, and sees that the gateway gives back what they took: memory,
// goroutines and descriptors. They come twice, since Go's runtime keeps what describes
// as many goroutines as there ever were, half a KiB each: what is left then is for
// good, and what a second time leaves would be for ever.
func TestIdleConnections(t *testing.T) {
	c := harness.StartContainer(t)
	g := harness.StartGateway(t, c.Dir, c.Config(t))
	to := g.Target(t, "exec", "dev+lab", c.Key)
	connections := harness.Load(200, 5000)

	start := g.Holds(t)
	hold(t, to, connections)()
	before, filesBefore := afterAll(t, g, harness.Held{}), openFiles(t, g)
	letGo := hold(t, to, connections)
	held := g.Holds(t)
	files := openFiles(t, g)
	if held.Connections != connections {
		t.Errorf("%d connections are held, of %d", held.Connections, connections)
	}
	letGo()
	after := afterAll(t, g, before)
	report(t, "at the start: %v; after the first time: %v, %d descriptors; held: %v, %d descriptors; after: %v, %d descriptors; %d KiB a connection",
		start, before, filesBefore, held, files, after, openFiles(t, g), (held.Memory-before.Memory)/connections>>10)
	if left := openFiles(t, g) - filesBefore; left > 0 {
		t.Errorf("%d descriptors are left behind", left)
	}
}

// engines is how many goroutines keep the gateway's idle connections to the engine,
// two each: as many as there were questions at once.
const engines = 8

// afterAll waits until the gateway serves nobody and has been quiet for a while, or
// until it holds no more than it did before: no goroutine but the engine's, and 10 MiB.
func afterAll(t *testing.T, g *harness.Gateway, before harness.Held) (now harness.Held) {
	t.Helper()
	harness.Eventually(t, "the gateway gives back what its connections took", func() bool {
		last := now
		now = g.Holds(t)
		if before == (harness.Held{}) {
			return now.Connections == 0 && last != (harness.Held{}) && now.Memory > last.Memory-1<<20 // what there was to give back is
		}
		return now.Connections == 0 && now.Goroutines <= before.Goroutines+engines && now.Memory <= before.Memory+10<<20
	})
	return now
}

// hold makes connections, eight at once, until letGo closes them all.
func hold(t *testing.T, to harness.Target, connections int) (letGo func()) {
	t.Helper()
	var made, held sync.WaitGroup
	todo, end := make(chan int), make(chan struct{})
	for range 8 {
		made.Go(func() {
			for i := range todo {
				client, err := holdOne(t, to, i%10 == 0)
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					continue
				}
				held.Go(func() {
					<-end
					client.Close()
				})
			}
		})
	}
	for i := range connections {
		todo <- i
	}
	close(todo)
	made.Wait()
	return func() {
		close(end)
		held.Wait()
	}
}

func holdOne(t *testing.T, to harness.Target, withShell bool) (*ssh.Client, error) {
	client, err := to.Dial(t)
	if err != nil || !withShell {
		return client, err
	}
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	if _, err := session.StdinPipe(); err != nil { // or it would be at its end
		return nil, err
	}
	if err := session.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
		return nil, err
	}
	return client, session.Shell()
}

// openFiles is how many descriptors the gateway's two processes have.
func openFiles(t *testing.T, g *harness.Gateway) (all int) {
	t.Helper()
	for _, p := range g.Processes(t) {
		all += len(p.Open(t))
	}
	return all
}
