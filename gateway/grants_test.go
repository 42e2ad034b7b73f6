package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/sshconn"
	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
)

// seen records what reached a host.
type seen struct {
	mu   sync.Mutex
	what []string
}

func (s *seen) add(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.what = append(s.what, fmt.Sprintf(format, args...))
}

// take returns what has reached the host since the last call.
func (s *seen) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := s.what
	s.what = nil
	return what
}

// watchedMachine is a machine that records what it is asked for.
type watchedMachine struct {
	*fakeMachine
	seen *seen
}

func (m watchedMachine) Start(command machine.Command) (*machine.Process, error) {
	m.seen.add("%s %s", command.Kind, command.Line)
	return m.fakeMachine.Start(command)
}

func (m watchedMachine) Dial(network, address string) (net.Conn, error) {
	m.seen.add("open %s %s", network, address)
	return nil, errors.New("nobody is there")
}

func (m watchedMachine) Listen(network, address string) (net.Listener, error) {
	kind := network
	if network == "unix" && address == "" {
		kind = "agent"
	}
	m.seen.add("listen %s", kind)
	return nil, errors.New("not here")
}

func watchedByBe(s *seen) *fakeHosts {
	m := newFakeMachine(func(machine.Command, io.Reader, io.Writer, io.Writer) int { return 0 })
	return atMachine(watchedMachine{m, s})
}

// watchedByJoin returns a host with an sshd that records requests in the same words.
func watchedByJoin(t *testing.T, s *seen) *fakeHosts {
	return sshdOf(t, &fakeSshd{
		accept: func(ssh.ConnMetadata, ssh.PublicKey) error { return nil },
		serve: func(_ *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
			go func() {
				for request := range requests {
					if kind, listens := map[string]string{"tcpip-forward": "tcp", "streamlocal-forward@openssh.com": "unix"}[request.Type]; listens {
						s.add("listen %s", kind)
					}
					sshconn.Reply(request, false, nil)
				}
			}()
			for channel := range channels {
				watchChannel(channel, s)
			}
		},
	}, nil)
}

func watchChannel(asked ssh.NewChannel, s *seen) {
	switch asked.ChannelType() {
	case "session":
		if channel, requests, err := asked.Accept(); err == nil {
			go watchSession(channel, requests, s)
		}
		return
	case "direct-tcpip":
		var open sshconn.DirectTCPIP
		ssh.Unmarshal(asked.ExtraData(), &open)
		s.add("open tcp %s", net.JoinHostPort(open.Host, fmt.Sprint(open.Port)))
	case "direct-streamlocal@openssh.com":
		var open sshconn.DirectStreamlocal
		ssh.Unmarshal(asked.ExtraData(), &open)
		s.add("open unix %s", open.Path)
	default:
		s.add("open %s", asked.ChannelType())
	}
	asked.Reject(ssh.ConnectionFailed, "nobody is there")
}

func watchSession(channel ssh.Channel, requests <-chan *ssh.Request, s *seen) {
	for request := range requests {
		var line struct{ Text string }
		ssh.Unmarshal(request.Payload, &line)
		switch request.Type {
		case machine.Shell, machine.Exec, machine.Subsystem:
			s.add("%s %s", request.Type, line.Text)
			sshconn.Reply(request, true, nil)
			exitWith(channel, 0)
		case "auth-agent-req@openssh.com":
			s.add("listen agent")
			sshconn.Reply(request, false, nil)
		case "x11-req":
			s.add("listen x11")
			sshconn.Reply(request, false, nil)
		case "pty-req", "signal":
			s.add("%s", request.Type)
			sshconn.Reply(request, false, nil)
		default:
			sshconn.Reply(request, false, nil)
		}
	}
}

// ask makes a client ask for one thing, and returns the answer.
type ask func(t *testing.T, client *ssh.Client) string

func asksSession(kind string, payload any) ask {
	return func(t *testing.T, client *ssh.Client) string {
		channel, requests, err := client.OpenChannel("session", nil)
		if err != nil {
			return err.Error()
		}
		defer channel.Close()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			ssh.DiscardRequests(requests)
		}()
		var data []byte
		if payload != nil {
			data = ssh.Marshal(payload)
		}
		ok, err := channel.SendRequest(kind, true, data)
		if err != nil || !ok || kind != machine.Shell && kind != machine.Exec && kind != machine.Subsystem {
			return fmt.Sprint(ok, err)
		}
		said, _ := io.ReadAll(channel.Stderr())
		within(t, "the session ends", ended)
		return string(said)
	}
}

func asksChannel(kind string, payload any) ask {
	return func(_ *testing.T, client *ssh.Client) string {
		_, _, err := client.OpenChannel(kind, ssh.Marshal(payload))
		return fmt.Sprint(err)
	}
}

func asksGlobal(kind string, payload any) ask {
	return func(_ *testing.T, client *ssh.Client) string {
		ok, _, err := client.SendRequest(kind, true, ssh.Marshal(payload))
		return fmt.Sprint(ok, err)
	}
}

// The attack: send a granted request in a form that the gateway cannot parse, so that
// it is not written to the audit file, but a host's lenient sshd carries it out.
func TestWhatCannotBeReadReachesNoHost(t *testing.T) {
	type asked struct {
		ask   func(kind string, payload any) ask
		kinds map[string]any
	}
	type trailed struct { // some sshds ignore an extra byte: OpenSSH's does in tcpip-forward
		Payload []byte `ssh:"rest"`
	}
	for mechanism, at := range map[string]func(*seen) *fakeHosts{
		"be":   watchedByBe,
		"join": func(s *seen) *fakeHosts { return watchedByJoin(t, s) },
	} {
		s := &seen{}
		g := startGateway(t, at(s))
		g.grant(t, map[string]auth.Grant{"lab": {Accounts: []string{"developer"}}})
		client := g.enter(t, "dev+lab")
		for _, by := range []asked{
			{asksSession, map[string]any{
				machine.Exec: sshconn.ExecRequest{Command: "id"}, machine.Subsystem: sshconn.SubsystemRequest{Name: "sftp"},
				"pty-req": sshconn.PtyRequest{Term: "xterm"}, "signal": sshconn.SignalRequest{Name: "TERM"},
			}},
			{asksChannel, map[string]any{"direct-tcpip": sshconn.DirectTCPIP{Host: "h", Port: 1}, "direct-streamlocal@openssh.com": sshconn.DirectStreamlocal{Path: "/x"}}},
			{asksGlobal, map[string]any{"tcpip-forward": sshconn.TCPIPForward{Address: "a", Port: 1}, "streamlocal-forward@openssh.com": sshconn.StreamlocalForward{Path: "/x"}}},
		} {
			for kind, payload := range by.kinds {
				told := by.ask(kind, trailed{append(ssh.Marshal(payload), 0)})(t, client)
				if got := s.take(); len(got) > 0 {
					t.Errorf("%s by %s: the host saw %q, and the client was told %q", kind, mechanism, got, told)
				}
			}
		}
	}
}

// asks has every kind of channel and request that makes a host do something, and how
// each is recorded there.
var asks = map[string]struct {
	ask  ask
	seen string
}{
	"shell":         {asksSession(machine.Shell, nil), "shell "},
	"exec":          {asksSession(machine.Exec, sshconn.ExecRequest{Command: "make test"}), "exec make test"},
	"exec, another": {asksSession(machine.Exec, sshconn.ExecRequest{Command: "make test; id"}), "exec make test; id"},
	"sftp":          {asksSession(machine.Subsystem, sshconn.SubsystemRequest{Name: "sftp"}), "subsystem sftp"},
	"subsystem":     {asksSession(machine.Subsystem, sshconn.SubsystemRequest{Name: "netconf"}), "subsystem netconf"},
	"agent":         {asksSession("auth-agent-req@openssh.com", nil), "listen agent"},
	"x11":           {asksSession("x11-req", sshconn.X11Request{Protocol: "MIT-MAGIC-COOKIE-1", Cookie: "00"}), "listen x11"},
	"local":         {asksChannel("direct-tcpip", sshconn.DirectTCPIP{Host: "localhost", Port: 8888}), "open tcp localhost:8888"},
	"local, other":  {asksChannel("direct-tcpip", sshconn.DirectTCPIP{Host: "10.0.0.1", Port: 22}), "open tcp 10.0.0.1:22"},
	"socket":        {asksChannel("direct-streamlocal@openssh.com", sshconn.DirectStreamlocal{Path: "/run/x"}), "open unix /run/x"},
	"remote":        {asksGlobal("tcpip-forward", sshconn.TCPIPForward{Address: "10.0.0.1", Port: 8080}), "listen tcp"},
	"remote socket": {asksGlobal("streamlocal-forward@openssh.com", sshconn.StreamlocalForward{Path: "/run/y"}), "listen unix"},
}

// One table for both mechanisms: whatever a grant leaves out never reaches the host,
// and whatever it includes does.
func TestAGrantDecidesForEveryKindOfChannelOnBothMechanisms(t *testing.T) {
	web := auth.Destination{Host: "localhost", Port: 8888}
	nothing := auth.RestrictAll()
	only := func(change func(*auth.Restrictions)) auth.Restrictions {
		r := auth.RestrictAll()
		change(&r)
		return r
	}
	all := func(change func(*auth.Restrictions)) auth.Restrictions {
		r := auth.Restrictions{}
		change(&r)
		return r
	}
	every := slices.Collect(func(yield func(string) bool) {
		for name := range asks {
			if !yield(name) {
				return
			}
		}
	})
	without := func(names ...string) (rest []string) {
		for _, name := range every {
			if !slices.Contains(names, name) {
				rest = append(rest, name)
			}
		}
		return rest
	}
	for name, tt := range map[string]struct {
		grant   auth.Restrictions
		granted []string
	}{
		"everything":       {auth.Restrictions{}, every},
		"nothing":          {nothing, nil},
		"only a shell":     {only(func(r *auth.Restrictions) { r.NoShell = false }), []string{"shell"}},
		"only exec":        {only(func(r *auth.Restrictions) { r.NoExec = false }), []string{"exec", "exec, another", "subsystem"}},
		"only one command": {only(func(r *auth.Restrictions) { r.NoExec, r.Commands = false, []string{"make test"} }), []string{"exec"}},
		"only sftp":        {only(func(r *auth.Restrictions) { r.NoSftp = false }), []string{"sftp"}},
		"only one forward": {only(func(r *auth.Restrictions) { r.NoLocal, r.Open = false, []auth.Destination{web} }), []string{"local"}},
		"only listeners":   {only(func(r *auth.Restrictions) { r.NoRemote = false }), []string{"remote"}},
		"other listeners":  {only(func(r *auth.Restrictions) { r.NoRemote, r.Listen = false, []auth.Destination{web} }), nil},
		"only sockets":     {only(func(r *auth.Restrictions) { r.NoStreamlocal = false }), []string{"socket", "remote socket"}},
		"no agent":         {all(func(r *auth.Restrictions) { r.NoAgent = true }), without("agent")},
		"no x11":           {all(func(r *auth.Restrictions) { r.NoX11 = true }), without("x11")},
		"no sftp":          {all(func(r *auth.Restrictions) { r.NoSftp = true }), without("sftp")},
		"no local":         {all(func(r *auth.Restrictions) { r.NoLocal = true }), without("local", "local, other")},
	} {
		for mechanism, at := range map[string]func(*seen) *fakeHosts{
			"be":   watchedByBe,
			"join": func(s *seen) *fakeHosts { return watchedByJoin(t, s) },
		} {
			t.Run(name+" by "+mechanism, func(t *testing.T) {
				s := &seen{}
				g := startGateway(t, at(s))
				g.grant(t, map[string]auth.Grant{"lab": {Accounts: []string{"developer"}, Restrictions: tt.grant}})
				client := g.enter(t, "dev+lab")
				for what, asked := range asks {
					told := asked.ask(t, client)
					got := s.take()
					switch isGranted := slices.Contains(tt.granted, what); {
					case isGranted && !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, asked.seen) }):
						t.Errorf("%s: the host saw %q and the client was told %q, want %q", what, got, told, asked.seen)
					case !isGranted && len(got) > 0:
						t.Errorf("%s: is not granted, and the host saw %q", what, got)
					case !isGranted && !strings.Contains(told, "not granted to dev on lab") && told != "false <nil>":
						t.Errorf("%s: the client was told %q", what, told)
					}
				}
			})
		}
	}
}

// grant puts other grants of dev into force, as a reload does.
func (g *testGateway) grant(t *testing.T, grants map[string]auth.Grant) (ended int) {
	t.Helper()
	policy, err := auth.NewPolicy([]auth.User{{Name: "dev", Keys: []ssh.PublicKey{g.dev.PublicKey()}, Hosts: grants}})
	if err != nil {
		t.Fatal(err)
	}
	return g.replace(policy)
}

// The attack: a host opens channels to an agent, a display or a listener that nobody
// asked for, and hopes for a client that accepts them.
func TestAHostOpensNothingThatIsNotGranted(t *testing.T) {
	kinds := []string{"auth-agent@openssh.com", "x11", "forwarded-tcpip", "forwarded-streamlocal@openssh.com", "x@example.com"}
	for _, restricted := range []bool{true, false} {
		told := make(chan string, len(kinds))
		sshd := &fakeSshd{
			accept: func(ssh.ConnMetadata, ssh.PublicKey) error { return nil },
			serve: func(conn *ssh.ServerConn, _ <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
				go ssh.DiscardRequests(requests)
				for _, kind := range kinds {
					_, _, err := conn.OpenChannel(kind, nil)
					told <- fmt.Sprint(err)
				}
			},
		}
		g := startGateway(t, sshdOf(t, sshd, nil))
		grant := auth.Grant{}
		if restricted {
			grant.Restrictions = auth.RestrictAll()
		}
		g.grant(t, map[string]auth.Grant{"lab": grant})
		g.enter(t, "dev+lab")
		for _, kind := range kinds {
			if why := <-told; strings.Contains(why, "not granted") != restricted {
				t.Errorf("restricted %v: %s: %s", restricted, kind, why)
			}
		}
	}
}

// A grant that makes sftp read-only, or limits it to a directory, gives the machine
// another subsystem, whatever name the client asks for. A host's own sshd does not
// know that subsystem, and so must not be entered.
func TestLimitsOfSftp(t *testing.T) {
	for want, r := range map[string]auth.Restrictions{
		"subsystem sftp-read-only":            {ReadOnlySftp: true},
		"subsystem sftp in /data/a":           {SftpDirectory: "/data/a"},
		"subsystem sftp-read-only in /data/a": {ReadOnlySftp: true, SftpDirectory: "/data/a"},
	} {
		grants := map[string]auth.Grant{"lab": {Restrictions: r}}
		s := &seen{}
		g := startGateway(t, watchedByBe(s))
		g.grant(t, grants)
		for _, name := range []string{"sftp", "sftp-read-only", "sftp in /", "sftp in /data/a", "sftp-read-only in /etc"} {
			session, err := g.enter(t, "dev+lab").NewSession()
			if err != nil {
				t.Fatal(err)
			}
			if err := session.RequestSubsystem(name); err != nil {
				t.Fatal(err)
			}
			if got := s.take(); !slices.Equal(got, []string{want}) {
				t.Errorf("for %q the host saw %q, want %q", name, got, want)
			}
		}
		from := watchedByJoin(t, s)
		g = startGateway(t, from)
		g.grant(t, grants)
		if got := runs(t, g.enter(t, "dev+lab"), "x"); got.status != 255 || !strings.Contains(got.err, "read-only or in a directory") || len(from.opens()) > 0 {
			t.Errorf("by sshd: %+v, opened %q", got, from.opens())
		}
	}
}

func TestSessionsOfAGrantAreCounted(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(waits)))
	g.grant(t, map[string]auth.Grant{"lab": {Sessions: 2}, "more": {}})
	one, two, more := g.enter(t, "dev+lab"), g.enter(t, "dev+lab"), g.enter(t, "dev+more")
	startWaiting(t, one)
	last, _, _ := startWaiting(t, two)
	for _, client := range []*ssh.Client{one, two} {
		if _, err := client.NewSession(); err == nil || !strings.Contains(err.Error(), "more than 2 sessions of dev on lab") {
			t.Errorf("a third session: %v", err)
		}
	}
	startWaiting(t, more) // under another grant
	last.Close()
	harness.Eventually(t, "there is room for one more", func() bool {
		s, err := one.NewSession()
		if err == nil {
			s.Close()
		}
		return err == nil
	})
}

// People who have lost a grant are told so and cut off. Nobody else notices.
func TestAChangeCutsWhoLostAGrantAndNobodyElse(t *testing.T) {
	for name, tt := range map[string]struct {
		after map[string]auth.Grant
		told  string // on lab; "": goes on
	}{
		"nothing":        {map[string]auth.Grant{"lab": auth.GrantAccount("developer"), "more": {}}, ""},
		"a host more":    {map[string]auth.Grant{"lab": auth.GrantAccount("developer"), "more": {}, "third": {}}, ""},
		"by a pattern":   {map[string]auth.Grant{"l*": auth.GrantAccount("developer"), "more": {}}, ""},
		"the host":       {map[string]auth.Grant{"more": {}}, `host "lab" is not granted to dev; granted: more`},
		"the account":    {map[string]auth.Grant{"lab": auth.GrantAccount("guest"), "more": {}}, `host "lab" is not granted to dev; granted: lab, more`},
		"the agent":      {map[string]auth.Grant{"lab": {Accounts: []string{"developer"}, Restrictions: auth.Restrictions{NoAgent: true}}, "more": {}}, "dev may do less on lab now; log in again"},
		"from elsewhere": {map[string]auth.Grant{"lab": {Accounts: []string{"developer"}, From: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, "more": {}}, `host "lab" is not granted to dev from 127.0.0.1`},
		"its time":       {map[string]auth.Grant{"lab": {Accounts: []string{"developer"}, Until: time.Now()}, "more": {}}, `host "lab" was granted to dev until`},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, atMachine(newFakeMachine(waits)))
			g.grant(t, map[string]auth.Grant{"lab": auth.GrantAccount("developer"), "more": {}})
			lab, more := g.enter(t, "dev+lab"), g.enter(t, "dev+more")
			onLab, out, stderr := startWaiting(t, lab)
			onMore, moreOut, moreErr := startWaiting(t, more)
			began := time.Now()
			if cut := g.grant(t, tt.after); (cut == 1) != (tt.told != "") {
				t.Errorf("%d connections were ended", cut)
			}
			if tt.told != "" {
				got := ended(t, lab, onLab, out, stderr)
				if want := "berth: this connection was ended: " + tt.told; got.status != 255 || !strings.HasPrefix(got.err, want) {
					t.Errorf("got %+v, want %q", got, want)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("after %v", took)
				}
			} else {
				goesOn(t, lab, onLab, out, stderr)
			}
			goesOn(t, more, onMore, moreOut, moreErr)
		})
	}
}

// goesOn checks that a session is still alive: it ends when its input does.
func goesOn(t *testing.T, client *ssh.Client, s *ssh.Session, out, stderr *safeBuffer) {
	t.Helper()
	if _, err := client.NewSession(); err != nil {
		t.Errorf("no further session: %v", err)
	}
	if err := s.Signal(ssh.SIGTERM); err != nil {
		t.Errorf("the session is gone: %v", err)
	}
}

// A grant that expires ends a connection as one that is taken away does.
func TestAGrantEndsAtItsTime(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(waits)))
	g.grant(t, map[string]auth.Grant{"lab": {Until: time.Now().Add(2 * time.Second)}})
	client := g.enter(t, "dev+lab")
	s, out, stderr := startWaiting(t, client)
	if got := ended(t, client, s, out, stderr); got.status != 255 || !strings.Contains(got.err, "was granted to dev until") {
		t.Errorf("got %+v", got)
	}
	if got := runs(t, g.enter(t, "dev+lab"), "x"); !strings.Contains(got.err, "was granted to dev until") {
		t.Errorf("afterwards: %+v", got)
	}
}

// The race: a grant is taken away while its host is being opened.
func TestAGrantThatIsTakenAwayOnTheWayInIsNotEntered(t *testing.T) {
	var g *testGateway
	from := atMachine(newFakeMachine(waits))
	open := from.open
	from.open = func(host hosts.Host, account string) (hosts.Entrance, error) {
		g.grant(t, map[string]auth.Grant{"more": {}})
		return open(host, account)
	}
	g = startGateway(t, from)
	g.grant(t, map[string]auth.Grant{"lab": {}})
	client := g.enter(t, "dev+lab")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		client.Wait()
	}()
	within(t, "the connection is cut", gone)
}

// A person who is granted a project or a label tries other names, and must neither
// learn which hosts exist nor enter one.
func TestAHostOutsideOfALabelLooksAsOneThatIsNotThere(t *testing.T) {
	from := atMachine(newFakeMachine(echoes))
	from.lookup = func(name string) (hosts.Host, error) {
		host := hosts.Host{Name: name, Route: labels.RouteExec, Container: "id-" + name}
		switch name {
		case "ours":
			host.Labels = map[string]string{"team": "vision"}
		case "theirs":
			host.Labels = map[string]string{"team": "law"}
		default:
			return host, &hosts.Unreachable{Host: name, Why: "does not exist: no container carries its label", Unknown: true}
		}
		return host, nil
	}
	g := startGateway(t, from)
	g.grant(t, map[string]auth.Grant{"label:team=vision": {}})
	if got := runs(t, g.enter(t, "dev+ours"), "x"); got.status != 3 {
		t.Errorf("ours: %+v", got)
	}
	for _, name := range []string{"theirs", "nobodys"} {
		got := runs(t, g.enter(t, "dev+"+name), "x")
		if want := "berth: host \"" + name + "\" is not granted to dev; granted: label:team=vision\n"; got.status != 255 || got.err != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if opened := from.opens(); !slices.Equal(opened, []string{"@ours"}) {
		t.Errorf("opened %q", opened)
	}
}
