package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/test/harness"

	"golang.org/x/crypto/ssh"
)

// fakeDirectory is a directory with passwords and groups.
type fakeDirectory struct {
	mu        sync.Mutex
	passwords map[string]string
	groups    map[string][]string
	silent    error
	twice     string   // a name with two entries, so that the directory cannot answer about it
	asked     []string // user name and password of each question
	inside    int
	most      int           // the most questions at the same time
	hold      chan struct{} // questions wait until it is closed; nil: they do not
}

func (f *fakeDirectory) LogIn(ctx context.Context, name string, password []byte) (auth.Person, error) {
	f.mu.Lock()
	f.asked = append(f.asked, name+" "+string(password))
	f.inside++
	f.most = max(f.most, f.inside)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.inside--
		f.mu.Unlock()
	}()
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			return auth.Person{}, ctx.Err()
		}
	}
	f.mu.Lock()
	right := f.passwords[name] != "" && f.passwords[name] == string(password)
	f.mu.Unlock()
	if !right && f.silent == nil {
		return auth.Person{}, auth.ErrDenied
	}
	return f.Find(ctx, name)
}

func (f *fakeDirectory) Find(_ context.Context, name string) (auth.Person, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.silent != nil:
		return auth.Person{}, f.silent
	case f.twice == name:
		return auth.Person{}, errors.New("several people of one name")
	case f.passwords[name] == "":
		return auth.Person{}, auth.ErrDenied
	}
	return auth.Person{Name: name, Groups: f.groups[name]}, nil
}

// startDirected returns a gateway with the user dev, from the policy, and all of the
// directory's students.
func startDirected(t *testing.T, f *fakeDirectory) *testGateway {
	t.Helper()
	g := startGateway(t, atMachine(newFakeMachine(echoes)), kept(func(k *keeper.Keeper) { k.Directory = f }))
	hash, err := auth.HashPassword([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := auth.NewPolicy([]auth.User{{Name: "dev", Password: hash, Keys: []ssh.PublicKey{g.dev.PublicKey()}, Hosts: map[string]auth.Grant{"lab": {}}}},
		auth.WithGroups(auth.Group{Name: "students", Hosts: map[string]auth.Grant{"lab": {}}, At: []auth.ServiceGroup{{Service: auth.LDAP, Name: "students"}}}))
	if err != nil {
		t.Fatal(err)
	}
	g.replace(policy)
	return g
}

func students(t *testing.T) *fakeDirectory {
	t.Helper()
	return &fakeDirectory{passwords: map[string]string{"anna": "anna's"}, groups: map[string][]string{"anna": {"students"}}}
}

// The attack: find out by the time, by the questions asked or by the texts who is a
// user of the configuration, who is in the directory, and who does not exist.
func TestADirectoryTellsStrangersNothing(t *testing.T) {
	f := students(t)
	g := startDirected(t, f)
	said := map[string]bool{}
	for _, login := range []string{"dev+lab", "anna+lab", "nobody+lab"} {
		began := time.Now()
		client, err := g.dial(login, nil, ssh.Password("wrong"))
		if err == nil {
			client.Close()
			t.Fatalf("%s is logged in", login)
		}
		if took := time.Since(began); took < deniedAfter {
			t.Errorf("%s: denied after %v", login, took)
		}
		said[err.Error()] = true
	}
	f.mu.Lock()
	all := slices.Clone(f.asked)
	f.mu.Unlock()
	if len(said) != 1 || len(all) != 3 {
		t.Errorf("said %v, asked %q", said, all)
	}
	for _, asked := range all {
		if strings.HasPrefix(asked, "dev ") {
			t.Errorf("the directory was asked about a user of the configuration: %q", asked)
		}
	}
	if asked := all[0]; strings.Contains(asked, "wrong") {
		t.Errorf("the directory heard the password of a user of the configuration: %q", asked)
	}
	for login, password := range map[string]string{"dev+lab": "secret", "anna+lab": "anna's"} {
		client, err := g.dial(login, nil, ssh.Password(password))
		if err != nil {
			t.Errorf("%s: %v", login, err)
			continue
		}
		client.Close()
	}
}

// The attack: make the gateway ask the directory about a thousand names at once.
func TestADirectoryIsAskedAboutSoManyAtOnce(t *testing.T) {
	f := students(t)
	f.hold = make(chan struct{})
	g := startDirected(t, f)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if client, err := g.dial("nobody+lab", nil, ssh.Password("wrong")); err == nil {
				client.Close()
			}
		})
	}
	asked := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.inside
	}
	harness.Eventually(t, "all that may ask do", func() bool { return asked() == 8 })
	client, err := g.dial("dev+lab", nil, ssh.Password("secret"))
	if err != nil {
		t.Fatalf("who does not come by the directory waits for it: %v", err)
	}
	client.Close()
	close(f.hold)
	all.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.most > 8 {
		t.Errorf("%d at once", f.most)
	}
}

// A login without an answer of the directory does not count as failed, and the person
// is told.
func TestNoAnswerIsNoFailure(t *testing.T) {
	f := students(t)
	f.silent = errors.New("it is gone")
	g := startDirected(t, f)
	for range 12 {
		banner := ""
		if client, err := g.dial("anna+lab", &banner, ssh.Password("anna's")); err == nil {
			client.Close()
			t.Fatal("logged in")
		}
		if !strings.Contains(banner, "does not answer; try again later") {
			t.Fatalf("said: %q", banner)
		}
	}
	next := g.Penalties()
	for _, p := range next {
		if p.Failures > 12*0.2+1 {
			t.Errorf("counted as failures: %+v", p)
		}
	}
}

// People who have lost a group are cut at the next recheck, and nobody is while the
// directory does not answer.
func TestRecheckEndsWhoLostAGroup(t *testing.T) {
	f := students(t)
	g := startDirected(t, f)
	client, err := g.dial("anna+lab", nil, ssh.Password("anna's"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	dev := g.enter(t, "dev+lab")
	harness.Eventually(t, "they have entered", func() bool {
		live := g.Live()
		return len(live) == 2 && live[0].Host != "" && live[1].Host != ""
	})
	change := func(groups []string, silent error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.groups["anna"], f.silent = groups, silent
	}
	change(nil, errors.New("it is gone"))
	if err := g.recheckAll(t.Context()); err == nil || len(g.Live()) != 2 {
		t.Errorf("without an answer: %v, %d are there", err, len(g.Live()))
	}
	change([]string{"students", "others"}, nil)
	if err := g.recheckAll(t.Context()); err != nil || len(g.Live()) != 2 {
		t.Errorf("in one group more: %v, %d are there", err, len(g.Live()))
	}
	change(nil, nil)
	if err := g.recheckAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "who lost the group is gone", func() bool { return len(g.Live()) == 1 })
	runs(t, dev, "x")
}

// The attack: somebody has lost a group, and makes the directory fail for another
// person, so that the recheck stops there and never comes to the attacker.
func TestNoAnswerAboutOneKeepsNobodyElseIn(t *testing.T) {
	f := students(t)
	f.passwords["eve"], f.groups["eve"] = "eve's", []string{"students"}
	g := startDirected(t, f)
	for _, name := range []string{"eve", "anna"} { // the first one is asked about first
		client, err := g.dial(name+"+lab", nil, ssh.Password(name+"'s"))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		harness.Eventually(t, name+" has entered", func() bool {
			live := g.Live()
			return len(live) > 0 && live[len(live)-1].Identity.User == name && live[len(live)-1].Host != ""
		})
	}
	f.mu.Lock()
	f.twice, f.groups["anna"] = "eve", nil
	f.mu.Unlock()
	if err := g.recheckAll(t.Context()); err == nil {
		t.Error("nobody is told that there was no answer")
	}
	harness.Eventually(t, "who lost the group is gone", func() bool {
		live := g.Live()
		return len(live) == 1 && live[0].Identity.User == "eve"
	})
}

// fakeProvider approves logins as a person, once it is told to.
type fakeProvider struct {
	person  auth.Person
	answers chan error
	waiting chan struct{}
	left    chan struct{}
}

func (f *fakeProvider) Ask(context.Context) (string, string, func(context.Context) (auth.Person, error), error) {
	return "https://login.example.org/\x1b[31mdevice", "CODE", func(ctx context.Context) (auth.Person, error) {
		close(f.waiting)
		select {
		case err := <-f.answers:
			return f.person, err
		case <-ctx.Done():
			close(f.left)
			return auth.Person{}, ctx.Err()
		}
	}, nil
}

func (f *fakeProvider) Remembered(string, string) (auth.Person, bool) { return auth.Person{}, false }
func (f *fakeProvider) Remember(string, string, auth.Person) error    { return nil }

// Approvals in a browser get more time than other logins. The wait ends when the
// person is gone. The provider's text reaches the terminal only as plain text.
func TestSomebodyIsOnTheWayToABrowser(t *testing.T) {
	f := &fakeProvider{answers: make(chan error), waiting: make(chan struct{}), left: make(chan struct{})}
	g := startGateway(t, atMachine(newFakeMachine(echoes)), kept(func(k *keeper.Keeper) { k.Provider = f }))
	prompts, leave := make(chan string, 2), make(chan struct{})
	ask := ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
		prompts <- questions[0]
		if strings.HasPrefix(questions[0], "To log in") {
			<-leave
			return nil, errors.New("the person gives up")
		}
		return []string{""}, nil
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if client, err := g.dial("dev+lab", nil, ask); err == nil {
			client.Close()
		}
	}()
	if first := <-prompts; !strings.HasPrefix(first, "Password, or Enter alone") {
		t.Errorf("asked first: %q", first)
	}
	if second := <-prompts; !strings.Contains(second, "the code CODE") || strings.Contains(second, "\x1b") {
		t.Errorf("asked then: %q", second)
	}
	within(t, "the provider is waited for", f.waiting)
	close(leave)
	within(t, "nobody waits for who is gone", f.left)
	<-done
}
