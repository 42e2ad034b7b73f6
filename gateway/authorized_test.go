package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"

	"golang.org/x/crypto/ssh"
)

// reachedLog records what a host was asked for.
type reachedLog struct {
	mu   sync.Mutex
	said []string
}

func (r *reachedLog) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *reachedLog) has(what string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.said, func(said string) bool { return strings.Contains(said, what) })
}

func (r *reachedLog) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.said, "; ")
}

// askedMachine is an empty machine that records what it is asked for.
type askedMachine struct {
	*fakeMachine
	log *reachedLog
}

func (m askedMachine) Dial(network, address string) (net.Conn, error) {
	m.log.add("dial %s %s", network, address)
	return nil, errors.New("nothing there")
}

func (m askedMachine) Listen(network, address string) (net.Listener, error) {
	m.log.add("listen %s %q", network, address)
	return nil, errors.New("no listeners")
}

func machineThatSays(log *reachedLog) *fakeHosts {
	return atMachine(askedMachine{newFakeMachine(func(command machine.Command, _ io.Reader, _, _ io.Writer) int {
		log.add("start %s %q pty=%v env=%q", command.Kind, command.Line, command.Pty != nil, command.Env)
		return 0
	}), log})
}

// sshdThatSays returns a host with an sshd that records what it is asked for. The
// gateway logs in there with a certificate, or with the key if there is one.
func sshdThatSays(t *testing.T, log *reachedLog, key ssh.Signer) *fakeHosts {
	f := &fakeSshd{t: t, hostKey: newSigner(t)}
	f.accept = func(_ ssh.ConnMetadata, key ssh.PublicKey) error {
		if certificate, ok := key.(*ssh.Certificate); ok {
			log.add("certificate permits %v", certificate.Extensions)
		}
		return nil
	}
	f.serve = func(_ *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go func() {
			for request := range requests {
				log.add("request %s", request.Type)
				sshconn.Reply(request, false, nil)
			}
		}()
		for channel := range channels {
			log.add("channel %s %q", channel.ChannelType(), channel.ExtraData())
			if channel.ChannelType() != "session" {
				channel.Reject(ssh.ConnectionFailed, "nothing there")
			} else if ch, requests, err := channel.Accept(); err == nil {
				go sayRequests(log, ch, requests)
			}
		}
	}
	return &fakeHosts{open: func(host hosts.Host, _ string) (hosts.Entrance, error) {
		return hosts.Entrance{Sshd: &hosts.Sshd{Host: host.Name, Conn: f.dial(), HostKeys: []ssh.PublicKey{f.hostKey.PublicKey()}, Key: key}}, nil
	}}
}

func sayRequests(log *reachedLog, ch ssh.Channel, requests <-chan *ssh.Request) {
	pty := false
	env := []string{}
	for request := range requests {
		var line sshconn.ExecRequest
		switch request.Type {
		case "pty-req":
			pty = true
		case "env":
			var e sshconn.EnvRequest
			ssh.Unmarshal(request.Payload, &e)
			env = append(env, e.Name+"="+e.Value)
		case machine.Shell, machine.Exec, machine.Subsystem:
			ssh.Unmarshal(request.Payload, &line)
			log.add("start %s %q pty=%v env=%q", request.Type, line.Command, pty, env)
			sshconn.Reply(request, true, nil)
			exitWith(ch, 0)
			continue
		default:
			log.add("session %s", request.Type)
		}
		sshconn.Reply(request, true, nil)
	}
}

// eachRoute runs a test against a gateway in front of a machine, and against one in
// front of an sshd. dev's key has options.
func eachRoute(t *testing.T, options string, test func(t *testing.T, route string, g *testGateway, log *reachedLog)) {
	for _, route := range []string{"be", "join"} {
		t.Run(route+" "+options, func(t *testing.T) {
			log := &reachedLog{}
			from := machineThatSays(log)
			if route == "join" {
				from = sshdThatSays(t, log, nil)
			}
			test(t, route, startWithLine(t, from, options), log)
		})
	}
}

func startWithLine(t *testing.T, from keeper.Hosts, options string, settings ...func(*Server)) *testGateway {
	t.Helper()
	g := startGateway(t, from, settings...)
	line, err := auth.ParseAuthorized(options + " " + string(ssh.MarshalAuthorizedKey(g.dev.PublicKey())))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := auth.NewPolicy([]auth.User{{Name: "dev", Authorized: []auth.Authorized{line}, Hosts: map[string]auth.Grant{"lab": {}}}})
	if err != nil {
		t.Fatal(err)
	}
	g.keeper.Policies.Replace(policy)
	return g
}

// try is one thing that a client can ask for, and what the host is asked for then.
type try struct {
	name string
	ask  func(client *ssh.Client)
	be   string // what a machine is asked for; "" where it never is
	join string // the same at an sshd
}

func tries() []try {
	channel := func(kind string, payload any) func(*ssh.Client) {
		return func(client *ssh.Client) { client.OpenChannel(kind, ssh.Marshal(payload)) }
	}
	request := func(kind string, payload any) func(*ssh.Client) {
		return func(client *ssh.Client) { client.SendRequest(kind, true, ssh.Marshal(payload)) }
	}
	inSession := func(ask func(s *ssh.Session)) func(*ssh.Client) {
		return func(client *ssh.Client) {
			if s, err := client.NewSession(); err == nil {
				ask(s)
				s.Run("true")
			}
		}
	}
	return []try{
		{"pty", inSession(func(s *ssh.Session) { s.RequestPty("xterm", 24, 80, nil) }), "pty=true", "pty=true"},
		{"agent", inSession(func(s *ssh.Session) { s.SendRequest("auth-agent-req@openssh.com", true, nil) }), `listen unix ""`, "session auth-agent-req"},
		{"agent", inSession(func(s *ssh.Session) { s.SendRequest("agent-req", true, nil) }), "", "session agent-req"},
		{"unknown", inSession(func(s *ssh.Session) { s.SendRequest("unknown-req@example.org", true, nil) }), "", "session unknown-req"},
		{"x11", inSession(func(s *ssh.Session) {
			s.SendRequest("x11-req", true, ssh.Marshal(sshconn.X11Request{Protocol: "MIT-MAGIC-COOKIE-1", Cookie: "00"}))
		}), "listen " + machine.X11, "session x11-req"},
		{"open", channel("direct-tcpip", sshconn.DirectTCPIP{Host: "localhost", Port: 80}), "dial tcp localhost:80", "channel direct-tcpip"},
		{"open socket", channel("direct-streamlocal@openssh.com", sshconn.DirectStreamlocal{Path: "/run/x"}), "dial unix /run/x", "channel direct-streamlocal"},
		{"listen", request("tcpip-forward", sshconn.TCPIPForward{Address: "", Port: 8080}), `listen tcp ":8080"`, "request tcpip-forward"},
		{"listen socket", request("streamlocal-forward@openssh.com", sshconn.StreamlocalForward{Path: "/run/x"}), `listen unix "/run/x"`, "request streamlocal-forward"},
		{"tunnel", channel("tun@openssh.com", struct{ Mode, Unit uint32 }{1, 0}), "", "channel tun@openssh.com"},
		{"unknown", request("unknown@example.org", struct{ Any string }{}), "", "request unknown"},
	}
}

// Each option is enforced on both routes: the host is never asked for what a key
// forbids.
func TestTheOptionsOfAKeyAreHeldTo(t *testing.T) {
	everything := "pty agent x11 open open-socket listen listen-socket tunnel unknown"
	for options, permitted := range map[string]string{
		"":                              everything,
		"restrict":                      "",
		"restrict,pty":                  "pty",
		"restrict,agent-forwarding":     "agent",
		"restrict,x11-forwarding":       "x11",
		"restrict,port-forwarding":      "open open-socket listen listen-socket",
		"no-pty":                        "agent x11 open open-socket listen listen-socket",
		"no-agent-forwarding":           "pty x11 open open-socket listen listen-socket",
		"no-x11-forwarding":             "pty agent open open-socket listen listen-socket",
		"no-port-forwarding":            "pty agent x11",
		`permitopen="localhost:80"`:     "pty agent x11 open listen",
		`permitopen="localhost:81"`:     "pty agent x11 listen",
		`permitlisten="8080"`:           "pty agent x11 open listen",
		`permitlisten="localhost:8080"`: "pty agent x11 open",
	} {
		eachRoute(t, options, func(t *testing.T, route string, g *testGateway, log *reachedLog) {
			client := g.enter(t, "dev+lab")
			for _, try := range tries() {
				try.ask(client)
				heard := try.be
				if route == "join" {
					heard = try.join
				}
				may := slices.Contains(strings.Fields(permitted), strings.ReplaceAll(try.name, " ", "-"))
				if heard != "" && log.has(heard) != may {
					t.Errorf("%s: want it to be heard: %v; heard %s", try.name, may, log.all())
				}
			}
		})
	}
}

// The attack: run another command than the key's forced one, by each request that
// starts one, and lie about the original command.
func TestAForcedCommandTakesThePlaceOfEveryOther(t *testing.T) {
	starts := map[string]func(s *ssh.Session) error{
		`exec "uname -a\nid"`: func(s *ssh.Session) error { return s.Run("uname -a\nid") },
		`shell ""`:            func(s *ssh.Session) error { s.Shell(); return s.Wait() },
		`subsystem "sftp"`: func(s *ssh.Session) error {
			if err := s.RequestSubsystem("sftp"); err != nil {
				return err
			}
			return s.Wait()
		},
	}
	for asked, start := range starts {
		eachRoute(t, `command="backup --all"`, func(t *testing.T, _ string, g *testGateway, log *reachedLog) {
			s, err := g.enter(t, "dev+lab").NewSession()
			if err != nil {
				t.Fatal(err)
			}
			s.Setenv("SSH_ORIGINAL_COMMAND", "a lie")
			start(s)
			told := map[string]string{`exec "uname -a\nid"`: `"SSH_ORIGINAL_COMMAND=uname -a\nid"`, `subsystem "sftp"`: `"SSH_ORIGINAL_COMMAND=sftp"`}[asked]
			if !log.has(`start exec "backup --all"`) || strings.Count(log.all(), "start ") != 1 || !log.has(told) || log.has("a lie") || told == "" && log.has("ORIGINAL") {
				t.Errorf("%s: %s", asked, log.all())
			}
		})
	}
	eachRoute(t, `command="internal-sftp"`, func(t *testing.T, _ string, g *testGateway, log *reachedLog) {
		runs(t, g.enter(t, "dev+lab"), "rm -rf /")
		if !log.has(`start subsystem "sftp"`) || strings.Count(log.all(), "start ") != 1 {
			t.Error(log.all())
		}
	})
}

// The attack: end a forced command before it has done its work. An sshd's own forced
// commands get no signal, either.
func TestAForcedCommandGetsNoSignal(t *testing.T) {
	eachRoute(t, `command="backup --all"`, func(t *testing.T, _ string, g *testGateway, log *reachedLog) {
		s, err := g.enter(t, "dev+lab").NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := s.SendRequest("signal", true, ssh.Marshal(sshconn.SignalRequest{Name: "TERM"})); ok || err != nil || log.has("signal") {
			t.Errorf("%v, %v; %s", ok, err, log.all())
		}
	})
}

// An sshd ends the connection, with whatever else runs on it.
func TestACommandWithANULIsRefusedAlone(t *testing.T) {
	eachRoute(t, "no-X11-forwarding", func(t *testing.T, _ string, g *testGateway, log *reachedLog) {
		s, err := g.enter(t, "dev+lab").NewSession()
		if err != nil {
			t.Fatal(err)
		}
		var exit *ssh.ExitError
		if err := s.Run("true\x00x"); !errors.As(err, &exit) || exit.ExitStatus() != 255 || log.has("exec") {
			t.Errorf("%v; %s", err, log.all())
		}
	})
}

// No client can set the variable from which a forced command reads the original
// command.
func TestSSHOriginalCommandIsNotTheClients(t *testing.T) {
	log := &reachedLog{}
	g := startGateway(t, machineThatSays(log))
	s, err := g.enter(t, "dev+lab").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Setenv("SSH_ORIGINAL_COMMAND", "x"); err == nil {
		t.Error("a client sets SSH_ORIGINAL_COMMAND")
	}
	if s.Run("true"); log.has("ORIGINAL") {
		t.Error(log.all())
	}
}

// The attack: a host's own sshd accepts CUDA_*. With such a variable a client makes
// its forced command load another library.
func TestWhoIsHeldToACommandSetsNoMoreThanIsListed(t *testing.T) {
	for options, may := range map[string]bool{`command="backup"`: false, "no-pty": false, "": true} {
		eachRoute(t, options, func(t *testing.T, route string, g *testGateway, log *reachedLog) {
			s, err := g.enter(t, "dev+lab").NewSession()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Setenv("LC_BERTH", "x"); err != nil {
				t.Error(err)
			}
			want := may && route == "join" // there the host decides
			if err := s.Setenv("CUDA_INJECTION64_PATH", "/tmp/evil.so"); (err == nil) != want {
				t.Errorf("it is set: %v, want %v", err == nil, want)
			}
			if s.Run("true"); log.has("evil") != want || !log.has("LC_BERTH=x") {
				t.Error(log.all())
			}
		})
	}
}

// The host's sshd runs ~/.ssh/rc. A certificate tells it not to. If the gateway logs
// in there with a key, it cannot tell the sshd, and so must refuse.
func TestNoUserRCIsTheSshdsToKeep(t *testing.T) {
	for options, want := range map[string]bool{"": true, "no-user-rc": false, "restrict,user-rc": true} {
		log := &reachedLog{}
		runs(t, startWithLine(t, sshdThatSays(t, log, nil), options).enter(t, "dev+lab"), "true")
		if log.has("permit-user-rc") != want || !log.has("certificate permits") {
			t.Errorf("%s: %s", options, log.all())
		}
		log = &reachedLog{}
		got := runs(t, startWithLine(t, sshdThatSays(t, log, newSigner(t)), options).enter(t, "dev+lab"), "true")
		if log.has("start") != want || !want && !strings.Contains(got.err, "no-user-rc") {
			t.Errorf("%s, by a key: %+v; %s", options, got, log.all())
		}
	}
}

// The attack: a host opens a channel to the client's agent or display, although the
// key that logged in forbids both. OpenSSH's client accepts such a channel.
func TestAHostOpensNothingThatTheKeyForbids(t *testing.T) {
	kinds := []string{"auth-agent@openssh.com", "agent-connect", "x11", "forwarded-tcpip", "forwarded-streamlocal@openssh.com", "unknown@example.org"}
	for options, reaches := range map[string]int{"": len(kinds), "restrict": 0, "restrict,agent-forwarding": 2, "restrict,port-forwarding": 2} {
		answered, registered := make(chan struct{}), make(chan struct{})
		hostKey := newSigner(t)
		f := &fakeSshd{t: t, hostKey: hostKey, accept: func(ssh.ConnMetadata, ssh.PublicKey) error { return nil }}
		f.serve = func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
			go ssh.DiscardRequests(requests)
			<-registered
			for _, kind := range kinds {
				conn.OpenChannel(kind, nil)
			}
			close(answered)
			for channel := range channels {
				channel.Reject(ssh.Prohibited, "")
			}
		}
		from := &fakeHosts{open: func(host hosts.Host, _ string) (hosts.Entrance, error) {
			return hosts.Entrance{Sshd: &hosts.Sshd{Host: host.Name, Conn: f.dial(), HostKeys: []ssh.PublicKey{hostKey.PublicKey()}}}, nil
		}}
		from.lookup = func(name string) (hosts.Host, error) {
			return hosts.Host{Name: name, Route: labels.RouteSshd, Account: "own"}, nil
		}
		client := startWithLine(t, from, options).enter(t, "dev+lab")
		got := 0
		var asked sync.WaitGroup
		var mu sync.Mutex
		for _, kind := range kinds {
			if channels := client.HandleChannelOpen(kind); channels != nil {
				asked.Go(func() {
					for channel := range channels {
						mu.Lock()
						got++
						mu.Unlock()
						channel.Reject(ssh.Prohibited, "")
					}
				})
			}
		}
		close(registered)
		within(t, "the host has asked for everything", answered)
		client.Close()
		asked.Wait()
		if got != reaches {
			t.Errorf("%s: %d of the host's channels reach the client, want %d", options, got, reaches)
		}
	}
}

// The options of a key and the limits of a grant both apply: a key's forced command
// is not started if the grant does not allow commands.
func TestAKeyAndAGrantForbidTogether(t *testing.T) {
	for options, tt := range map[string]struct {
		grant auth.Restrictions
		heard string // by the host, of "x"; "": nothing
	}{
		`command="make test"`:     {auth.Restrictions{Commands: []string{"make test"}}, `start exec "make test"`},
		`command="make deploy"`:   {auth.Restrictions{Commands: []string{"make test", "x"}}, ""},
		`command="internal-sftp"`: {auth.Restrictions{NoSftp: true}, ""},
		"no-pty":                  {auth.Restrictions{NoExec: true}, ""},
		"restrict":                {auth.Restrictions{NoShell: true}, `start exec "x"`},
	} {
		eachRoute(t, options, func(t *testing.T, _ string, g *testGateway, log *reachedLog) {
			line, err := auth.ParseAuthorized(options + " " + string(ssh.MarshalAuthorizedKey(g.dev.PublicKey())))
			if err != nil {
				t.Fatal(err)
			}
			policy, err := auth.NewPolicy([]auth.User{{Name: "dev", Authorized: []auth.Authorized{line}, Hosts: map[string]auth.Grant{"lab": {Restrictions: tt.grant}}}})
			if err != nil {
				t.Fatal(err)
			}
			g.replace(policy)
			got := runs(t, g.enter(t, "dev+lab"), "x")
			if tt.heard != "" && !log.has(tt.heard) || tt.heard == "" && (log.has("start") || got.status != 255 || !strings.Contains(got.err, "not granted to dev on lab, or not by this key")) {
				t.Errorf("%+v; heard %s", got, log.all())
			}
		})
	}
}
