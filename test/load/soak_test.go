package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
)

// envSoakFor is how long TestSoak goes on, as 1h; without it, for a round.
const envSoakFor = "BERTH_SOAK_FOR"

const (
	restartEvery = time.Minute
	sampleEvery  = 15 * time.Second

	// settles is longer than it takes until memory is given back to the system: two
	// quiet seconds, and three rounds. It is shorter than it takes until a front that
	// serves nobody is replaced, which would hide what it keeps.
	settles = 6 * time.Second
)

// soak is people who work on a container by both routes, which restarts now and
// then. What they do may fail while it does, but never give a wrong byte.
type soak struct {
	container harness.Container
	gateway   *harness.Gateway
	ctx       context.Context

	restarts   sync.RWMutex   // held by who restarts the container
	working    sync.WaitGroup // pieces of work; one begins with restarts held for reading
	began      atomic.Int64   // restarts
	done, lost atomic.Int64   // pieces of work
	bytes      atomic.Int64   // compared
}

// TestSoak: shells, scp, rsync and forwards on a container that restarts, for as
// long as it is told to. Every byte is compared. What the gateway holds after each
// restart, when nobody does anything, does not grow: what it holds meanwhile
// follows the rate of the copies.
func TestSoak(t *testing.T) {
	harness.Need(t, "rsync", "scp")
	length, err := time.ParseDuration(os.Getenv(envSoakFor))
	if err != nil {
		length = time.Second
	}
	c := harness.StartContainer(t)
	g := harness.StartGateway(t, c.Dir, c.Config(t))
	targets := []harness.Target{g.Target(t, "relay", "dev+"+c.Host, c.Key), g.Target(t, "exec", "dev+lab", c.Key)}
	hold(t, targets[1], 40)() // what is allocated once
	before := afterAll(t, g, harness.Held{})
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	s := &soak{container: c, gateway: g, ctx: ctx}
	var people sync.WaitGroup
	for _, to := range targets {
		for _, work := range []func(*testing.T, harness.Target) error{s.shell, s.scp, s.rsync, s.forward} {
			people.Go(func() { s.repeat(t, to, work) })
		}
	}
	var busy, atRest []int // MiB
	sampleDue, restartDue := time.NewTicker(sampleEvery), time.NewTicker(restartEvery)
	defer sampleDue.Stop()
	defer restartDue.Stop()
	for ctx.Err() == nil {
		select {
		case <-sampleDue.C:
			busy = append(busy, g.Resident(t)>>20)
		case <-restartDue.C:
			atRest = append(atRest, s.restart(t))
		case <-ctx.Done():
		}
	}
	people.Wait()
	after := afterAll(t, g, before)
	report(t, "%v of shells, scp, rsync and forwards by both routes on a container that restarts each minute: %d pieces of work done, %d more lost to %d restarts, "+
		"%d MB compared; before: %v; after: %v; resident, MiB, after each restart: %v; and every %v: %v",
		length, s.done.Load(), s.lost.Load(), s.began.Load(), s.bytes.Load()/1e6, before, after, atRest, sampleEvery, busy)
	wantFlat(t, atRest)
}

// restart restarts the container, which cuts what is being done, and returns what
// the gateway holds then, in MiB. Nobody begins anything meanwhile.
func (s *soak) restart(t *testing.T) int {
	s.restarts.Lock()
	defer s.restarts.Unlock()
	s.began.Add(1)
	harness.Must(t, exec.Command("docker", "restart", "-t", "1", s.container.Name))
	address := net.JoinHostPort(s.container.Address(t), "22")
	harness.Eventually(t, "the container's sshd", func() bool { return harness.Answers(address) })
	s.working.Wait()
	time.Sleep(settles)
	return s.gateway.Resident(t) >> 20
}

// wantFlat compares the least memory at rest in the last quarter with that in the second
// one, when everything has been needed once. A leak raises every later sample; memory
// that is not given back yet raises only some.
func wantFlat(t *testing.T, resident []int) {
	t.Helper()
	quarter := len(resident) / 4
	if quarter < 3 {
		return
	}
	early, late := slices.Min(resident[quarter:2*quarter]), slices.Min(resident[len(resident)-quarter:])
	if late > early+10 {
		t.Errorf("memory at rest grows: from %d to %d MiB", early, late)
	}
}

// repeat does a piece of work again and again. One that fails is lost to a restart,
// if there was one meanwhile; other failures are the test's.
func (s *soak) repeat(t *testing.T, to harness.Target, work func(*testing.T, harness.Target) error) {
	for round := 0; round == 0 || s.ctx.Err() == nil; round++ {
		before, err := s.once(func() error { return work(t, to) })
		switch {
		case err == nil:
			s.done.Add(1)
		case errors.Is(err, errCorrupt):
			t.Errorf("%s: %v", to.Name, err)
			return
		case s.began.Load() > before:
			s.lost.Add(1)
		default:
			t.Errorf("%s: %v", to.Name, err)
			return
		}
	}
}

// once does a piece of work, and returns how many restarts there were before.
func (s *soak) once(work func() error) (before int64, err error) {
	s.restarts.RLock()
	before = s.began.Load()
	s.working.Add(1)
	s.restarts.RUnlock()
	defer s.working.Done()
	return before, work()
}

var errCorrupt = errors.New("other bytes came than were sent")

// shell types at a terminal and wants the answer and the exit status.
func (s *soak) shell(t *testing.T, to harness.Target) error {
	client, err := to.Dial(t)
	if err != nil {
		return err
	}
	defer within(client)()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	if err := session.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
		return err
	}
	typed := rand.IntN(1e6)
	session.Stdin = strings.NewReader(fmt.Sprintf("echo said $((%d+1))\nexit 7\n", typed))
	var screen bytes.Buffer
	session.Stdout = &screen
	if err := session.Shell(); err != nil {
		return err
	}
	exit := (*ssh.ExitError)(nil)
	if err := session.Wait(); !errors.As(err, &exit) {
		return fmt.Errorf("a shell: %w, %s", err, harness.Brief(screen.String()))
	}
	if want := fmt.Sprintf("said %d", typed+1); exit.ExitStatus() == 7 && !strings.Contains(screen.String(), want) {
		return fmt.Errorf("%w: no %q in %s", errCorrupt, want, harness.Brief(screen.String()))
	}
	if exit.ExitStatus() != 7 {
		return fmt.Errorf("a shell exited with %d, %s", exit.ExitStatus(), harness.Brief(screen.String()))
	}
	return nil
}

// within closes a client that takes too long.
func within(client *ssh.Client) (stop func()) {
	timer := time.AfterFunc(3*harness.Patience, func() { client.Close() })
	return func() {
		timer.Stop()
		client.Close()
	}
}

// scp copies a file there and back.
func (s *soak) scp(t *testing.T, to harness.Target) error {
	dir := t.TempDir()
	defer os.RemoveAll(dir)
	sent := random(1 + rand.IntN(8<<20))
	if err := os.WriteFile(filepath.Join(dir, "sent"), sent, 0o600); err != nil {
		return err
	}
	script := fmt.Sprintf("scp -q sent h:/tmp/%[1]s && scp -q h:/tmp/%[1]s back && ssh h rm /tmp/%[1]s", name())
	if err := s.run(to, dir, script); err != nil {
		return err
	}
	back, err := os.ReadFile(filepath.Join(dir, "back"))
	if err != nil {
		return err
	}
	return s.compare("scp", sent, back)
}

// rsync copies a tree there and back.
func (s *soak) rsync(t *testing.T, to harness.Target) error {
	dir := t.TempDir()
	defer os.RemoveAll(dir)
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		return err
	}
	for i := range 40 {
		if err := os.WriteFile(filepath.Join(tree, fmt.Sprint(i)), random(rand.IntN(50<<10)), 0o600); err != nil {
			return err
		}
	}
	script := fmt.Sprintf("rsync -a tree/ h:/tmp/%[1]s/ && rsync -a h:/tmp/%[1]s/ back/ && ssh h rm -r /tmp/%[1]s", name())
	if err := s.run(to, dir, script); err != nil {
		return err
	}
	for i := range 40 {
		sent, _ := os.ReadFile(filepath.Join(tree, fmt.Sprint(i)))
		back, err := os.ReadFile(filepath.Join(dir, "back", fmt.Sprint(i)))
		if err != nil {
			return err
		}
		if err := s.compare("rsync", sent, back); err != nil {
			return err
		}
	}
	return nil
}

// forward has a process there connect to a port that is forwarded here, and send
// back what it is sent.
func (s *soak) forward(t *testing.T, to harness.Target) error {
	client, err := to.Dial(t)
	if err != nil {
		return err
	}
	defer within(client)()
	listener, err := client.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	if err := session.Start("bash -c 'exec 3<>/dev/tcp/127.0.0.1/" + port + "; cat <&3 >&3'"); err != nil {
		return err
	}
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	sent := random(1 + rand.IntN(4<<20))
	go func() {
		conn.Write(sent)
		conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	back, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if len(back) < len(sent) && bytes.HasPrefix(sent, back) {
		return fmt.Errorf("a forward was cut after %d of %d bytes", len(back), len(sent))
	}
	return s.compare("a forward", sent, back)
}

func (s *soak) run(to harness.Target, dir, script string) error {
	out, err := to.Command(dir, script).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", script, err, harness.Brief(string(out)))
	}
	return nil
}

func (s *soak) compare(what string, sent, back []byte) error {
	s.bytes.Add(int64(len(sent)))
	if !bytes.Equal(sent, back) {
		return fmt.Errorf("%w by %s: %d bytes (%x), and %d (%x)", errCorrupt, what, len(sent), sha256.Sum256(sent), len(back), sha256.Sum256(back))
	}
	return nil
}

func random(n int) []byte {
	source := rand.NewChaCha8([32]byte{byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32())})
	data := make([]byte, n)
	source.Read(data)
	return data
}

func name() string { return fmt.Sprintf("soak-%d", rand.Uint64()) }
