package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/ssh"
)

// fakeHosts answers by calling functions, and counts the calls.
type fakeHosts struct {
	lookup     func(name string) (hosts.Host, error) // nil: every name is a host with route exec
	open       func(host hosts.Host, account string) (hosts.Entrance, error)
	comingBack bool
	list       []hosts.Host

	mu      sync.Mutex
	lookups int
	opened  []string // account@host
}

func (f *fakeHosts) Lookup(_ context.Context, name string) (hosts.Host, error) {
	f.mu.Lock()
	f.lookups++
	f.mu.Unlock()
	if f.lookup == nil {
		return hosts.Host{Name: name, Route: labels.RouteExec, Account: "own", Container: "0123456789abcdef"}, nil
	}
	return f.lookup(name)
}

func (f *fakeHosts) List(context.Context) []hosts.Host { return f.list }

func (f *fakeHosts) ComingBack(string) bool { return f.comingBack }

func (f *fakeHosts) Open(_ context.Context, host hosts.Host, account string) (hosts.Entrance, error) {
	f.mu.Lock()
	f.opened = append(f.opened, account+"@"+host.Name)
	f.mu.Unlock()
	return f.open(host, account)
}

// calls returns how often a host was looked up or opened.
func (f *fakeHosts) calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lookups + len(f.opened)
}

// opens returns what was opened, each as account@host.
func (f *fakeHosts) opens() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.opened)
}

// fakeMachine runs one function for every command.
type fakeMachine struct {
	machine.Machine
	run  func(command machine.Command, in io.Reader, out, err io.Writer) int
	done chan struct{}

	loses bool // the end of a process is never reported

	closing sync.Once
	closed  chan struct{}
}

func newFakeMachine(run func(command machine.Command, in io.Reader, out, err io.Writer) int) *fakeMachine {
	return &fakeMachine{run: run, done: make(chan struct{}), closed: make(chan struct{})}
}

func (m *fakeMachine) Done() <-chan struct{} { return m.done }

func (m *fakeMachine) Close() error {
	m.closing.Do(func() { close(m.closed) })
	return nil
}

func (m *fakeMachine) Start(command machine.Command) (*machine.Process, error) {
	inRead, in := io.Pipe()
	out, outWrite := io.Pipe()
	err, errWrite := io.Pipe()
	exit := make(chan sshconn.Exit, 1)
	closeAll := func() error {
		return errors.Join(inRead.Close(), outWrite.Close(), errWrite.Close(), out.Close(), err.Close())
	}
	go func() {
		defer func() { errors.Join(inRead.Close(), outWrite.Close(), errWrite.Close()) }()
		defer close(exit)
		if status := m.run(command, inRead, outWrite, errWrite); !m.loses {
			exit <- sshconn.ExitStatus(status)
		}
	}()
	return &machine.Process{
		Stdin: in, Stdout: out, Stderr: err,
		Exit:   exit,
		Signal: func(string) error { return nil },
		Close:  closeAll,
	}, nil
}

// atMachine returns hosts that all lead to one machine.
func atMachine(m machine.Machine) *fakeHosts {
	return &fakeHosts{open: func(hosts.Host, string) (hosts.Entrance, error) { return hosts.Entrance{Machine: m}, nil }}
}

// safeBuffer collects the writes of several goroutines.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *safeBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *safeBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// testGateway is a gateway on a port with two users: dev may enter lab as developer
// and more as any account; other may enter vault.
type testGateway struct {
	*Server
	keeper   *keeper.Keeper
	HostKey  ssh.Signer
	userCA   ssh.Signer
	address  string
	listener net.Listener
	log      *safeBuffer
	dev      ssh.Signer // the users' keys
	other    ssh.Signer
	stop     context.CancelFunc
	stopped  chan struct{} // closed when Serve has returned
	served   error         // Serve's error
}

func startGateway(t *testing.T, from keeper.Hosts, settings ...func(*Server)) *testGateway {
	t.Helper()
	g := &testGateway{HostKey: newSigner(t), userCA: newSigner(t), log: &safeBuffer{}, dev: newSigner(t), other: newSigner(t), stopped: make(chan struct{})}
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost) // to be quick
	if err != nil {
		t.Fatal(err)
	}
	policy, err := auth.NewPolicy([]auth.User{
		{Name: "dev", Password: string(hash), Keys: []ssh.PublicKey{g.dev.PublicKey()},
			Hosts: map[string]auth.Grant{"lab": auth.GrantAccount("developer"), "more": {}}},
		{Name: "other", Keys: []ssh.PublicKey{g.other.PublicKey()}, Hosts: map[string]auth.Grant{"vault": {}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	g.keeper = &keeper.Keeper{UserCA: func() ssh.Signer { return g.userCA }, Policies: auth.NewPolicies(policy), Hosts: from}
	g.Server = &Server{
		HostKeys: HostKeys{Key: g.HostKey}.Fixed,
		Keeper:   g.keeper,
		Log:      slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Wait:     10 * time.Second,
	}
	for _, set := range settings {
		set(g.Server)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.address, g.listener = listener.Addr().String(), listener
	var ctx context.Context
	ctx, g.stop = context.WithCancel(context.Background())
	go func() {
		defer close(g.stopped)
		g.served = g.Serve(ctx, listener)
	}()
	t.Cleanup(func() {
		g.stop()
		within(t, "the gateway has stopped", g.stopped)
	})
	return g
}

// kept returns an option that changes the gateway's keeper before the start.
func kept(change func(*keeper.Keeper)) func(*Server) {
	return func(s *Server) { change(s.Keeper.(*keeper.Keeper)) }
}

// replace puts a policy into force, and returns how many connections were ended by
// it.
func (g *testGateway) replace(policy *auth.Policy) (ended int) {
	g.keeper.Replace(policy, "test")
	return g.Review()
}

// dial logs in. If banner is not nil, it gets the text that the gateway shows before
// the login is over.
func (g *testGateway) dial(login string, banner *string, methods ...ssh.AuthMethod) (*ssh.Client, error) {
	return ssh.Dial("tcp", g.address, &ssh.ClientConfig{
		User:            login,
		Auth:            methods,
		HostKeyCallback: ssh.FixedHostKey(g.HostKey.PublicKey()),
		ClientVersion:   "SSH-2.0-OpenSSH_test",
		Timeout:         10 * time.Second,
		BannerCallback: func(message string) error {
			if banner != nil {
				*banner += message
			}
			return nil
		},
	})
}

// enter logs in with dev's key.
func (g *testGateway) enter(t *testing.T, login string) *ssh.Client {
	t.Helper()
	client, err := g.dial(login, nil, ssh.PublicKeys(g.dev))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// said is the result of a command.
type said struct {
	out, err string
	status   int // -1: none was reported
}

// runs runs a command to its end, but fails after ten seconds.
func runs(t *testing.T, client *ssh.Client, command string) said {
	t.Helper()
	return runsIn(t, client, command, func(*ssh.Session) error { return nil })
}

// runsAtTerminal is runs with a terminal.
func runsAtTerminal(t *testing.T, client *ssh.Client, command string) said {
	t.Helper()
	return runsIn(t, client, command, func(s *ssh.Session) error { return s.RequestPty("xterm", 24, 80, nil) })
}

func runsIn(t *testing.T, client *ssh.Client, command string, prepare func(*ssh.Session) error) said {
	t.Helper()
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var out, stderr safeBuffer
	s.Stdout, s.Stderr = &out, &stderr
	if err := errors.Join(prepare(s), s.Start(command)); err != nil {
		t.Fatal(err)
	}
	return ended(t, client, s, &out, &stderr)
}

// ended waits for a session's end and returns its result.
func ended(t *testing.T, client *ssh.Client, s *ssh.Session, out, stderr *safeBuffer) said {
	t.Helper()
	cut := time.AfterFunc(10*time.Second, func() { client.Close() })
	defer cut.Stop()
	err := s.Wait()
	got := said{out: out.String(), err: stderr.String()}
	var exit *ssh.ExitError
	switch {
	case errors.As(err, &exit):
		got.status = exit.ExitStatus()
	case err != nil:
		got.status = -1
	}
	return got
}

func within(t *testing.T, what string, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(10 * time.Second):
		t.Fatalf("not within 10 s: %s", what)
	}
}

// fakeSshd is hosts with an sshd that trusts a user CA.
type fakeSshd struct {
	t       *testing.T
	hostKey ssh.Signer
	accept  func(meta ssh.ConnMetadata, key ssh.PublicKey) error
	serve   func(*ssh.ServerConn, <-chan ssh.NewChannel, <-chan *ssh.Request)
	change  func(*ssh.ServerConfig) // may be nil
}

func (f *fakeSshd) dial() net.Conn {
	gateway, inside := tcpPair(f.t)
	go func() {
		defer inside.Close()
		config := &ssh.ServerConfig{PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			return nil, f.accept(meta, key)
		}}
		config.AddHostKey(f.hostKey)
		if f.change != nil {
			f.change(config)
		}
		if conn, channels, requests, err := ssh.NewServerConn(inside, config); err == nil {
			f.serve(conn, channels, requests)
		}
	}()
	return gateway
}
