package change

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/test/harness"
)

// cutWithin is what docs/gateway.md promises to those who lost a grant.
const cutWithin = 2 * time.Second

// lab is a gateway with users that change: dev, who may enter relay and box,
// and guest, whose file is team.
type lab struct {
	harness.Machine
	config, team string
	guestKey     string
}

func startLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{Machine: harness.StartMachine(t)}
	l.config = filepath.Join(l.Gateway.Dir, "gateway.yaml")
	l.team = filepath.Join(l.Gateway.Dir, "users.d", "team.yaml")
	l.guestKey = harness.MakeKey(t, l.Gateway.Dir, "guest")
	if err := os.Mkdir(filepath.Dir(l.team), 0o700); err != nil {
		t.Fatal(err)
	}
	return l
}

// guest is the file of the team, with guest's hosts.
func (l *lab) guest(t *testing.T, hosts string) string {
	return fmt.Sprintf("users:\n  guest:\n    keys: [%s]\n    hosts: {%s}\n", harness.PublicKey(t, l.guestKey), hosts)
}

func (l *lab) everything(t *testing.T) string {
	return l.guest(t, fmt.Sprintf("relay: %s, box: ", l.SSHD.Login))
}

// reload runs gateway reload.
func (l *lab) reload(t *testing.T) (out string, status int) {
	t.Helper()
	command := exec.Command(harness.Program("gateway"), "reload", "--config", l.config)
	text, err := command.CombinedOutput()
	if exited := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exited) {
		t.Fatal(err)
	}
	return string(text), command.ProcessState.ExitCode()
}

// put saves the team's file and reloads.
func (l *lab) put(t *testing.T, text string) {
	t.Helper()
	save(t, l.team, text)
	if out, status := l.reload(t); status != 0 {
		t.Fatalf("reload: exit %d: %s", status, out)
	}
}

// save is as editors save: another file takes the place of the first.
func save(t *testing.T, path, text string) {
	t.Helper()
	harness.Write(t, path+".new", 0o600, text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// guestAt is a door of guest's.
func (l *lab) guestAt(host string) harness.Target {
	to := l.Local
	to.Door = l.Gateway.Door("guest+"+host, l.guestKey)
	return to
}

// visit logs in and runs a command to its end.
func visit(t *testing.T, to harness.Target, command string) (out, stderr string, err error) {
	client, err := enter(t, to)
	if err != nil {
		return "", "", err
	}
	defer client.Close()
	s, err := client.NewSession()
	if err != nil {
		return "", "", err
	}
	var stdout, errors bytes.Buffer
	s.Stdout, s.Stderr = &stdout, &errors
	err = s.Run(command)
	return stdout.String(), errors.String(), err
}

func enter(t *testing.T, to harness.Target) (*ssh.Client, error) {
	raw, err := net.Dial("tcp", to.Address)
	if err != nil {
		return nil, err
	}
	raw.SetDeadline(time.Now().Add(harness.Patience))
	client, err := to.LogIn(t, raw)
	if err != nil {
		raw.Close()
		return nil, err
	}
	raw.SetDeadline(time.Time{})
	return client, nil
}

// echo is a session that says what it is told.
type echo struct {
	to     harness.Target
	client *ssh.Client
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *bytes.Buffer
	isOver chan struct{} // closed when it has ended
	ended  error         // how
}

func startEcho(t *testing.T, to harness.Target) *echo {
	t.Helper()
	client, err := enter(t, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{to: to, client: client, stderr: &bytes.Buffer{}, isOver: make(chan struct{})}
	s.Stderr = e.stderr
	in, inErr := s.StdinPipe()
	out, outErr := s.StdoutPipe()
	if err := errors.Join(inErr, outErr, s.Start("exec cat")); err != nil {
		t.Fatal(err)
	}
	e.in, e.out = in, bufio.NewReader(out)
	go func() {
		defer close(e.isOver)
		e.ended = s.Wait()
	}()
	if err := e.ping("hello"); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *echo) ping(line string) error {
	if _, err := io.WriteString(e.in, line+"\n"); err != nil {
		return err
	}
	got, err := e.out.ReadString('\n')
	if err == nil && got != line+"\n" {
		err = fmt.Errorf("got %q, want %q", got, line)
	}
	return err
}

// wantCut wants a session to end soon, and to be told why. On a machine that has no time
// soon is later: before somebody has come and gone who is to be told the same.
func (e *echo) wantCut(t *testing.T, why string) {
	t.Helper()
	select {
	case <-e.isOver:
	case <-time.After(cutWithin):
		began := time.Now()
		visit(t, e.to, "true")
		if !harness.IsClosed(e.isOver) {
			t.Errorf("after %v, and a visit of %v, the session is still there", cutWithin, time.Since(began))
			return
		}
	}
	exit, ok := errors.AsType[*ssh.ExitError](e.ended)
	if !ok || exit.ExitStatus() != 255 || !strings.Contains(e.stderr.String(), why) {
		t.Errorf("ended with %v, told %q, want status 255 and %q", e.ended, e.stderr, why)
	}
}

// The whole promise at once: sessions that stay are never disturbed, no login is
// decided by anything but the files as they are, and what was taken away is gone.
func TestReloadsUnderLoginsDisturbNobody(t *testing.T) {
	l := startLab(t)
	l.put(t, l.everything(t))
	reloads, sessions, every := harness.Load(30, 1000), harness.Load(6, 50), 50*time.Millisecond
	var work sync.WaitGroup
	stop := make(chan struct{})
	failed := sync.OnceFunc(func() { close(stop) })
	defer work.Wait()
	defer failed()

	for i := range sessions {
		e := startEcho(t, l.Doors()[i%2])
		work.Go(func() {
			for n := 0; !harness.IsClosed(stop); n++ {
				if err := e.ping(fmt.Sprint("line ", n)); err != nil {
					t.Errorf("a session that stays: %v, was told %q", err, e.stderr)
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}

	var changing sync.RWMutex // held to read by a login that one state of the files is to decide
	granted := true           // guest, on box
	var logins, decided atomic.Int32
	work.Go(func() {
		var all sync.WaitGroup
		defer all.Wait()
		free := make(chan struct{}, 20) // fewer than the gateway lets in at a time
		for tick := time.NewTicker(every); !harness.IsClosed(stop); <-tick.C {
			free <- struct{}{}
			n := logins.Add(1)
			all.Go(func() {
				defer func() { <-free }()
				if n%2 == 0 { // at any moment
					if out, stderr, err := visit(t, l.Doors()[n/2%2], "echo in"); out != "in\n" || err != nil {
						t.Errorf("dev: %q, %q, %v", out, stderr, err)
					}
					return
				}
				changing.RLock()
				defer changing.RUnlock()
				out, stderr, err := visit(t, l.guestAt("box"), "echo in")
				decided.Add(1)
				if isIn := out == "in\n" && err == nil; isIn != granted || !granted && !strings.Contains(stderr, `host "box" is not granted to guest`) {
					t.Errorf("guest: granted %v, got %q, %q, %v", granted, out, stderr, err)
				}
			})
		}
	})

	began := time.Now()
	for i := range reloads {
		var visitor *echo
		if i%5 == 0 && granted {
			visitor = startEcho(t, l.guestAt([]string{"box", "relay"}[i/5%2]))
		}
		text := l.everything(t)
		if granted {
			text = l.guest(t, "nowhere: ")
		}
		changing.Lock()
		if i%3 == 0 {
			harness.Write(t, l.team, 0o600, text) // in place
		} else {
			save(t, l.team, text)
		}
		out, status := l.reload(t)
		granted = !granted
		changing.Unlock()
		if status != 0 {
			t.Fatalf("reload: exit %d: %s", status, out)
		}
		if visitor != nil {
			visitor.wantCut(t, "this connection was ended")
		}
		if t.Failed() {
			return
		}
	}
	failed()
	work.Wait()
	took := time.Since(began)
	t.Logf("%d reloads under %d sessions in %v; %d logins, %.0f a second, %d of them with one right outcome", reloads, sessions,
		took.Round(time.Second), logins.Load(), float64(logins.Load())/took.Seconds(), decided.Load())
}

// Saving is enough, in whatever way; so is a hang-up. What is wrong changes
// nothing, and says why.
func TestChangesAreTaken(t *testing.T) {
	l := startLab(t)
	stays := startEcho(t, l.Local)
	isIn := func() bool {
		out, _, err := visit(t, l.guestAt("box"), "echo in")
		return out == "in\n" && err == nil
	}
	save(t, l.team, l.everything(t))
	harness.Eventually(t, "what was saved to be in force", isIn)

	guest := startEcho(t, l.guestAt("box"))
	save(t, l.team, "users: {guest: {keys: [nonsense]}}\n")
	out, status := l.reload(t)
	if want := l.team + ":1: key: not a public key"; status != 1 || !strings.Contains(out, want) || !strings.Contains(out, "what was in force stays so") {
		t.Errorf("reload of what is wrong: exit %d, %s, want %s", status, out, want)
	}
	l.Gateway.AwaitRecord(t, "not reloaded; what was in force stays so")
	if err := guest.ping("still here"); err != nil || !isIn() {
		t.Errorf("what is wrong has changed something: %v", err)
	}

	if err := os.Remove(l.team); err != nil { // guest is no user any more
		t.Fatal(err)
	}
	l.Gateway.Signal(syscall.SIGHUP)
	guest.wantCut(t, "guest may not log in in this way any more")
	if _, _, err := visit(t, l.guestAt("box"), "echo in"); err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
		t.Errorf("a user that is gone: %v", err)
	}
	if err := stays.ping("undisturbed"); err != nil {
		t.Errorf("dev: %v", err)
	}

	own := harness.Read(t, l.config)
	save(t, l.config, strings.Replace(own, "listen: 127.0.0.1:0", "listen: 127.0.0.1:1", 1))
	if out, status := l.reload(t); status != 0 || !strings.Contains(out, "restart the gateway for the change of listen") {
		t.Errorf("another address: exit %d, %s", status, out)
	}
}

// The forwards of who lost a grant go with its sessions, and those of others stay.
func TestForwardsGoWithTheirGrant(t *testing.T) {
	l := startLab(t)
	l.put(t, l.everything(t))
	for _, host := range []string{"box", "relay"} {
		client, err := enter(t, l.guestAt(host))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		listener, err := client.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := listener.Addr().String()
		own, err := l.Local.Enter(t).Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if !harness.Answers(address) || !harness.Answers(own.Addr().String()) {
			t.Fatal("nobody listens at first")
		}
		l.put(t, l.guest(t, "nowhere: "))
		for deadline := time.Now().Add(cutWithin); harness.Answers(address); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: after %v somebody still listens", host, cutWithin)
			}
		}
		if !harness.Answers(own.Addr().String()) {
			t.Errorf("%s: dev's listener is gone, too", host)
		}
		l.put(t, l.everything(t))
	}
}

// A key or a password that was taken back takes with it those who came by it, and
// not those who came by another.
func TestWhatOpenedTheDoorCounts(t *testing.T) {
	l := startLab(t)
	second := harness.MakeKey(t, l.Gateway.Dir, "second")
	first := harness.PublicKey(t, l.guestKey)
	file := func(keys ...string) string {
		return fmt.Sprintf("users:\n  guest:\n    keys: [%s]\n    hosts: {box: }\n", strings.Join(keys, ", "))
	}
	l.put(t, file(first, harness.PublicKey(t, second)))
	byFirst := startEcho(t, l.guestAt("box"))
	to := l.guestAt("box")
	to.Key = second
	bySecond := startEcho(t, to)
	l.put(t, file(harness.PublicKey(t, second)))
	byFirst.wantCut(t, "guest may not log in in this way any more")
	if err := bySecond.ping("by another key"); err != nil {
		t.Errorf("by another key: %v", err)
	}
}
