package load

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
)

// TestIdleConnections holds many connections that do nothing, each tenth with a
// shell in a terminal, and sees that the gateway gives back what they took: memory,
// goroutines and descriptors. What Go's runtime keeps of very many goroutines goes with
// their process, in whose place there is another one then, and whoever comes meanwhile
// is let in.
func TestIdleConnections(t *testing.T) {
	c := harness.StartContainer(t)
	g := harness.StartGateway(t, c.Dir, c.Config(t))
	to := g.Target(t, "exec", "dev+lab", c.Key)
	connections := harness.Load(200, 5000)

	to.Run(t, "exec ssh h true") // a first helper
	start, filesBefore := g.Holds(t), openFiles(t, g)
	letGo := hold(t, to, connections)
	held := g.Holds(t)
	files := openFiles(t, g)
	if held.Connections != connections {
		t.Errorf("%d connections are held, of %d", held.Connections, connections)
	}
	if listed := strings.Count(harness.Must(t, g.Verb("sessions", "--json")), `"person":"dev"`); listed != connections {
		t.Errorf("%d connections are listed, of %d", listed, connections)
	}
	letGo()
	told := filepath.Join(t.TempDir(), "told")
	harness.Write(t, told, 0o600, "")
	coming := to.Start(t, "while ssh -n h echo in; do sleep 3; done >"+told+" 2>&1; echo refused >>"+told)
	harness.Eventually(t, "somebody has come", func() bool { return harness.Read(t, told) != "" })
	after := afterAll(t, g, start)
	coming.Kill()
	harness.Eventually(t, "who comes has left", func() bool { return g.Holds(t).Connections == 0 })
	if lines := harness.Read(t, told); strings.Trim(lines, "in\n") != "" || lines == "" {
		t.Errorf("who comes meanwhile is told %q", lines)
	}
	report(t, "at the start: %v, %d descriptors; held: %v, %d descriptors; after: %v, %d descriptors; %d KiB a connection",
		start, filesBefore, held, files, after, openFiles(t, g), (held.Memory-start.Memory)/connections>>10)
	if left := openFiles(t, g) - filesBefore; left > engines/2 {
		t.Errorf("%d descriptors are left behind", left)
	}
}

// engines is how many goroutines keep the gateway's idle connections to the engine,
// two each, and a descriptor: as many as there were questions at once.
const engines = 8

// afterAll waits until the gateway holds no more than it did before: no goroutine but
// the engine's, and 10 MiB.
func afterAll(t *testing.T, g *harness.Gateway, before harness.Held) (now harness.Held) {
	t.Helper()
	harness.Eventually(t, "the gateway gives back what its connections took", func() bool {
		now = g.Holds(t)
		return now.Connections <= 1 && now.Goroutines <= before.Goroutines+engines && now.Memory <= before.Memory+10<<20
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
