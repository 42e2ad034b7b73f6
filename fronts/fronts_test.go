package fronts

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/audit"
	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/calls"
	"github.com/berth-ssh/berth/front/messages"
	"github.com/berth-ssh/berth/gateway"
	"github.com/berth-ssh/berth/helper"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/machine"
	"github.com/berth-ssh/berth/test/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeHosts has a host of every name, and records which ones are opened.
type fakeHosts struct {
	mu     sync.Mutex
	opened []string
	left   int
}

func (f *fakeHosts) Lookup(_ context.Context, name string) (hosts.Host, error) {
	return hosts.Host{Name: name, Route: labels.RouteExec, Account: "own"}, nil
}

func (f *fakeHosts) List(context.Context) []hosts.Host { return nil }

func (f *fakeHosts) ComingBack(string) bool { return false }

func (f *fakeHosts) Open(_ context.Context, host hosts.Host, account string) (hosts.Entrance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened = append(f.opened, account+"@"+host.Name)
	return hosts.Entrance{Machine: &fakeMachine{from: f}, WhyLost: func() string { return "is gone" }}, nil
}

func (f *fakeHosts) opens() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.opened, " ")
}

func (f *fakeHosts) leaves() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.left
}

type fakeMachine struct {
	machine.Machine
	from *fakeHosts
}

func (m *fakeMachine) HandOver() (helper.Handed, error) {
	file, theirs, err := helper.StreamPair()
	if err == nil {
		theirs.Close()
	}
	return helper.Handed{File: file}, err
}

func (m *fakeMachine) Close() error {
	m.from.mu.Lock()
	defer m.from.mu.Unlock()
	m.from.left++
	return nil
}

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// safeLog collects the writes of several goroutines.
type safeLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// taken is a front that was taken over: it sends its keeper whatever the test wants.
type taken struct {
	*calls.Peer
	process *process
	audit   string // path of the audit file
	hosts   *fakeHosts
	log     *safeLog
	dev     ssh.Signer // key of dev, who may enter lab and logs in by one step
	two     ssh.Signer // key of two, who logs in by two steps
}

func takeOver(t testing.TB) *taken {
	t.Helper()
	a := &taken{hosts: &fakeHosts{}, log: &safeLog{}, dev: newSigner(t), two: newSigner(t), audit: filepath.Join(t.TempDir(), "audit.jsonl")}
	records, err := audit.Open(audit.Settings{File: a.audit}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { records.Close() })
	policy, err := auth.NewPolicy([]auth.User{
		{Name: "dev", Keys: []ssh.PublicKey{a.dev.PublicKey()}, Hosts: map[string]auth.Grant{"lab": {}}},
		{Name: "two", Keys: []ssh.PublicKey{a.two.PublicKey()}, Hosts: map[string]auth.Grant{"vault": {}}},
	}, auth.WithRules(auth.Rule{Users: auth.Names{"two"}, With: []auth.Steps{{auth.ByPublicKey, auth.ByCode}}}))
	if err != nil {
		t.Fatal(err)
	}
	ca := newSigner(t)
	f := &Fronts{
		Keeper:   &keeper.Keeper{Policies: auth.NewPolicies(policy), Hosts: a.hosts, UserCA: func() ssh.Signer { return ca }},
		HostKeys: gateway.HostKeys{Key: newSigner(t)}.Fixed, Audit: records, Log: slog.New(slog.NewTextHandler(a.log, nil)),
		seal: sealer{[]byte("a key")}, hashing: make(chan struct{}, 1), asking: make(chan struct{}, 2),
	}
	near, file, err := calls.NewPair()
	if err != nil {
		t.Fatal(err)
	}
	far, err := calls.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	a.process = &process{Fronts: f}
	a.process.peer = calls.New(near, a.process.verbs(), f.Log)
	a.Peer = calls.New(far, nil, slog.New(slog.DiscardHandler))
	var serving sync.WaitGroup
	serving.Go(func() { a.process.peer.Serve() })
	serving.Go(func() { a.Serve() })
	t.Cleanup(func() {
		a.Close()
		serving.Wait()
		a.process.entrances.close()
	})
	return a
}

// proves asks the keeper about a key, and returns the answer.
func (a *taken) proves(t testing.TB, user string, key ssh.Signer, proved bool) (step messages.Step) {
	t.Helper()
	attempt := messages.KeyAttempt{Attempt: messages.Attempt{Login: user, From: netip.MustParseAddr("192.0.2.1")}, Key: key.PublicKey().Marshal(), Proved: proved}
	if _, err := a.Call(t.Context(), messages.Key, attempt, &step); err != nil {
		t.Fatal(err)
	}
	return step
}

func (a *taken) enters(t testing.TB, proof messages.Proof, host string) (messages.Entered, error) {
	t.Helper()
	var told messages.Entered
	files, err := a.Call(t.Context(), messages.Enter, messages.Entry{Who: proof, Host: host}, &told)
	for _, file := range files {
		file.Close()
	}
	return told, err
}

// The attack: a front that was taken over asks its keeper for things that nobody who
// is logged in there was granted. What an honest front asks for it still gets.
func TestAFrontCannotAskForWhatIsNotGranted(t *testing.T) {
	a := takeOver(t)
	login := a.proves(t, "dev", a.dev, true)
	told, err := a.enters(t, login.Proof, "lab")
	if err != nil || told.Machine == nil || a.hosts.opens() != "own@lab" {
		t.Fatalf("what is granted: %+v, %v, opened %s", told, err, a.hosts.opens())
	}
	if told, err := a.enters(t, login.Proof, "vault"); err != nil || told.Failure.Kind != "refusal" || !strings.Contains(told.Failure.Text, "not granted to dev") {
		t.Errorf("another's host: %+v, %v", told, err)
	}
	step := a.proves(t, "two", a.two, true)
	if len(step.Next) != 1 {
		t.Fatalf("no second step is asked for: %+v", step)
	}
	forged := bytes.Clone(login.Proof)
	forged = bytes.Replace(forged, []byte(`"dev"`), []byte(`"two"`), 1)
	old, _, err := a.process.seal.give(aLogin, auth.Identity{User: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := sealer{[]byte("another key")}.give(aLogin, auth.Identity{User: "two"})
	if err != nil {
		t.Fatal(err)
	}
	offered := a.proves(t, "dev", a.dev, false)
	if offered.Who == nil || offered.Proof != nil {
		t.Errorf("a key that was not proved: %+v", offered)
	}
	for name, proof := range map[string]messages.Proof{
		"one of two steps": step.Proof, "another name in a proof": forged, "no proof": nil, "a short one": login.Proof[:31], "one of its own making": other,
	} {
		if told, err := a.enters(t, proof, "vault"); err == nil || !strings.Contains(err.Error(), "was given out") {
			t.Errorf("%s: %+v, %v", name, told, err)
		}
		for _, verb := range []string{messages.Admit, messages.RestartingHost} {
			if _, err := a.Call(t.Context(), verb, proof, nil); err == nil {
				t.Errorf("%s is taken for %s", name, verb)
			}
		}
	}
	if _, err := a.process.seal.open(aLogin, old, time.Nanosecond); err == nil {
		t.Error("an old login is taken for a new one")
	}
	if a.hosts.opens() != "own@lab" {
		t.Errorf("opened: %s", a.hosts.opens())
	}
	if !strings.Contains(a.log.String(), "may have been taken over") {
		t.Errorf("nobody is told: %s", a.log)
	}
	if written, err := os.ReadFile(a.audit); err != nil || !strings.Contains(string(written), `"event":"front_suspected"`) {
		t.Errorf("it is not written down: %s %v", written, err)
	}
}

// The attack: a front that was taken over keeps the proof of a login, and has it
// rechecked hours later, to make it valid again.
func TestALoginIsNotMadeNewByARecheck(t *testing.T) {
	a := takeOver(t)
	long := time.Now().Add(-time.Hour)
	old, _, err := a.process.seal.giveAs(aLogin, long, auth.Identity{User: "dev", Login: auth.Login{User: "dev"}, Method: auth.ByPublicKey,
		Credential: ssh.FingerprintSHA256(a.dev.PublicKey())})
	if err != nil {
		t.Fatal(err)
	}
	var step messages.Step
	if _, err := a.Call(t.Context(), messages.Recheck, old, &step); err != nil || step.Proof == nil {
		t.Fatalf("rechecked: %+v, %v", step, err)
	}
	if _, err := a.process.who(step.Proof); err != nil {
		t.Errorf("who is there stays there: %v", err)
	}
	if told, err := a.enters(t, step.Proof, "lab"); err == nil || a.hosts.opens() != "" {
		t.Errorf("a login of an hour ago opens a host: %+v, opened %s", told, a.hosts.opens())
	}
}

// The attack: a front that was taken over writes events to the audit file that only
// the keeper may write: a new grant, or that a front is suspected.
func TestAFrontWritesOfConnectionsAlone(t *testing.T) {
	a := takeOver(t)
	for event, fields := range map[string]string{
		"changed": `{"by":"gateway reload","user":"dev","what":"key","change":"added"}`, "front_suspected": `{}`, "front_ended": `{}`,
	} {
		if _, err := a.Call(t.Context(), messages.Audit, messages.Event{Name: event, Fields: json.RawMessage(fields)}, nil); err == nil {
			t.Errorf("it writes %s", event)
		}
	}
	var told messages.Written
	if _, err := a.Call(t.Context(), messages.Audit, messages.Event{Name: "left", Fields: json.RawMessage(`{}`)}, &told); err != nil || !told.OK {
		t.Errorf("what an honest one writes: %v", err)
	}
	if written, err := os.ReadFile(a.audit); err != nil || bytes.Count(written, []byte("\n")) != 1 {
		t.Errorf("written: %s %v", written, err)
	}
}

// The attack: a front that was taken over asks for a signature for a host that it has
// not opened, or by a key that is not the gateway's, or for a recording in another
// person's name.
func TestAFrontGetsNoSignatureAndNoFileOfOthers(t *testing.T) {
	a := takeOver(t)
	keys, err := a.process.HostKeys(false)
	if err != nil {
		t.Fatal(err)
	}
	own := keys.Key.PublicKey()
	var told messages.Signature
	if _, err := a.Call(t.Context(), messages.Sign, messages.Signing{Key: own.Marshal(), Data: []byte("x")}, &told); err != nil {
		t.Fatal(err)
	}
	var signature ssh.Signature
	if err := ssh.Unmarshal(told.Signature, &signature); err != nil || own.Verify([]byte("x"), &signature) != nil {
		t.Errorf("a host key's signature: %v", err)
	}
	entered, err := a.enters(t, a.proves(t, "dev", a.dev, true).Proof, "lab")
	if err != nil {
		t.Fatal(err)
	}
	ca := a.process.Keeper.UserCA().PublicKey().Marshal()
	for name, signing := range map[string]messages.Signing{
		"the user CA": {Key: ca}, "an entrance that is none": {Entrance: entered.Number + 1, Key: own.Marshal()}, "one without an sshd": {Entrance: entered.Number},
	} {
		if _, err := a.Call(t.Context(), messages.Sign, signing, nil); err == nil {
			t.Errorf("it signs by %s", name)
		}
	}
	for _, session := range []string{`{"Conn":"c","Person":"two","Host":"vault"}`, `{"Conn":"../x","Person":"dev","Host":"lab"}`, `{"Conn":"c","Person":"../../etc","Host":"x"}`} {
		if files, err := a.Call(t.Context(), messages.Record, json.RawMessage(session), nil); err == nil || len(files) > 0 {
			t.Errorf("a file is made for %s", session)
		}
	}
}

// slowDirectory answers no question before release is closed.
type slowDirectory struct {
	release chan struct{}
	inside  atomic.Int64
	most    atomic.Int64
}

func (d *slowDirectory) LogIn(context.Context, string, []byte) (auth.Person, error) {
	if now := d.inside.Add(1); now > d.most.Load() {
		d.most.Store(now)
	}
	defer d.inside.Add(-1)
	<-d.release
	return auth.Person{}, auth.ErrDenied
}

func (d *slowDirectory) Find(context.Context, string) (auth.Person, error) {
	return auth.Person{}, auth.ErrDenied
}

// The attack: a front that was taken over makes the keeper ask the directory about
// many passwords at once: to guess faster than allowed, and until the directory
// answers nobody.
func TestAFrontAsksTheDirectoryAboutSoManyAtOnce(t *testing.T) {
	a := takeOver(t)
	directory := &slowDirectory{release: make(chan struct{})}
	a.process.Keeper.Directory = directory
	release := sync.OnceFunc(func() { close(directory.release) })
	t.Cleanup(release)
	var calling sync.WaitGroup
	for range 20 {
		calling.Go(func() {
			a.Call(t.Context(), messages.DirectoryPassword, messages.SecretAttempt{Attempt: messages.Attempt{Login: "dev"}, Secret: []byte("x")}, nil)
		})
	}
	harness.Eventually(t, "all places are taken", func() bool { return len(a.process.asking) == cap(a.process.asking) })
	release()
	calling.Wait()
	if most := directory.most.Load(); most > int64(cap(a.process.asking)) {
		t.Errorf("%d were asked about at once", most)
	}
}

// An entrance is left when the front says so or ends. After that the front can still
// ask why it ended.
func TestWhatAFrontHasOpenedIsLeftWithIt(t *testing.T) {
	a := takeOver(t)
	login := a.proves(t, "dev", a.dev, true)
	first, err := a.enters(t, login.Proof, "lab")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.enters(t, login.Proof, "lab"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := a.Call(t.Context(), messages.Leave, first.Number, nil); err != nil {
			t.Fatal(err)
		}
	}
	var why string
	if _, err := a.Call(t.Context(), messages.Why, messages.Question{Number: first.Number, What: messages.Lost}, &why); err != nil || why != "is gone" {
		t.Errorf("%q, %v", why, err)
	}
	if a.hosts.leaves() != 1 || !a.process.entrances.has("dev", "lab") {
		t.Errorf("%d are left", a.hosts.leaves())
	}
	a.process.entrances.close()
	if a.hosts.leaves() != 2 {
		t.Errorf("%d are left when it ends", a.hosts.leaves())
	}
	if told, err := a.enters(t, login.Proof, "lab"); err == nil {
		t.Errorf("something is opened for one that has ended: %+v", told)
	}
}

// The attack: a front that was taken over sends anything at all.
func FuzzWhatAFrontSaysOpensNothing(f *testing.F) {
	a := takeOver(f)
	verbs := a.process.verbs()
	for verb := range verbs {
		for _, args := range []string{`null`, `{}`, `[]`, `0`, `"x"`, `{"Who":"AAAA","Host":"lab"}`, `{"Entrance":1,"Key":"AAAA","Data":"AAAA"}`, `{"Name":"left","Fields":{}}`} {
			f.Add(verb, []byte(args))
		}
	}
	f.Fuzz(func(t *testing.T, verb string, args []byte) {
		act := verbs[verb]
		if act == nil {
			return
		}
		_, files, _ := act(t.Context(), args, nil)
		if len(files) > 0 || a.hosts.opens() != "" {
			t.Errorf("%s of %s: %d files, opened %q", verb, args, len(files), a.hosts.opens())
		}
	})
}
