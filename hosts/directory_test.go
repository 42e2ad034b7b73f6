package hosts

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/labels"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeSource has the hosts that it is given: a host, or why it cannot be
// entered.
type fakeSource struct {
	name   string
	hosts  map[string]error
	opened []string
	closed bool
}

func (f *fakeSource) Run(ctx context.Context) { <-ctx.Done() }
func (f *fakeSource) Close()                  { f.closed = true }

func (f *fakeSource) Lookup(_ context.Context, name string) (Host, error) {
	err, known := f.hosts[name]
	if !known {
		return Host{}, &Unreachable{Host: name, Why: "is not in " + f.name, Unknown: true}
	}
	return Host{Name: name, Route: labels.RouteExec, Container: "of " + f.name}, err
}

func (f *fakeSource) List(ctx context.Context) (all []Host) {
	for name := range f.hosts {
		if host, err := f.Lookup(ctx, name); err == nil {
			all = append(all, host)
		}
	}
	return all
}

func (f *fakeSource) ComingBack(name string) (comingBack, known bool) {
	err, known := f.hosts[name]
	return err != nil, known
}

func (f *fakeSource) Open(_ context.Context, host Host, account string) (Entrance, error) {
	f.opened = append(f.opened, account+" on "+host.Name)
	return Entrance{}, nil
}

func TestTheFirstSourceThatKnowsANameDecides(t *testing.T) {
	first := &fakeSource{name: "first", hosts: map[string]error{"a": nil}}
	second := &fakeSource{name: "second", hosts: map[string]error{"a": nil, "b": nil}}
	d := NewDirectory(first, second)
	for name, container := range map[string]string{"a": "of first", "b": "of second"} {
		host, err := d.Lookup(t.Context(), name)
		if err != nil || host.Container != container {
			t.Errorf("%s: %+v, %v", name, host, err)
		}
		if _, err := d.Open(t.Context(), host, "dev"); err != nil {
			t.Error(err)
		}
	}
	if len(first.opened) != 1 || first.opened[0] != "dev on a" || len(second.opened) != 1 || second.opened[0] != "dev on b" {
		t.Errorf("opened: %q by the first, %q by the second", first.opened, second.opened)
	}
	if all := d.List(t.Context()); len(all) != 2 || all[0].Container != "of first" || all[1].Name != "b" {
		t.Errorf("lists %+v, want a of the first and b", all)
	}
	_, err := d.Lookup(t.Context(), "c")
	if !IsUnknown(err) || !strings.Contains(err.Error(), "is not in second") {
		t.Errorf("a name that no source knows: %v", err)
	}
	if _, err := NewDirectory().Lookup(t.Context(), "c"); !IsUnknown(err) {
		t.Errorf("without any source: %v", err)
	}
}

// The attack: a host is stopped, and somebody else's of the same name gets the
// logins, agent and passwords included.
func TestALaterSourceNeverStandsInForAHostThatCannotBeEntered(t *testing.T) {
	down := &Unreachable{Host: "a", Why: "is not running"}
	d := NewDirectory(&fakeSource{name: "first", hosts: map[string]error{"a": down}}, &fakeSource{name: "second", hosts: map[string]error{"a": nil}})
	if host, err := d.Lookup(t.Context(), "a"); !errors.Is(err, down) {
		t.Errorf("enters %+v, %v", host, err)
	}
	if all := d.List(t.Context()); len(all) != 0 {
		t.Errorf("lists %+v", all)
	}
	if !d.ComingBack("a") {
		t.Error("the second source was asked whether it comes back")
	}
	if d.ComingBack("nobody") {
		t.Error("a host that nobody knows comes back")
	}
}

func TestADirectoryRunsAndClosesAllItsSources(t *testing.T) {
	a, b := &fakeSource{}, &fakeSource{}
	d := NewDirectory(a, b)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d.Run(ctx)
	d.Close()
	if !a.closed || !b.closed {
		t.Error("one is open still")
	}
}

func TestAnAddressThatDoesNotAnswerIsRefusedReadably(t *testing.T) {
	d := NewDirectory(NewAddresses([]Entry{{Name: "old", Route: labels.RouteSshd, Address: "127.0.0.1:1"}, {Name: "box", Container: "x"}}))
	if _, err := d.Lookup(t.Context(), "box"); !IsUnknown(err) {
		t.Errorf("a container among the addresses: %v", err)
	}
	host, err := d.Lookup(t.Context(), "old")
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Open(t.Context(), host, "developer")
	u, ok := errors.AsType[*Unreachable](err)
	if !ok || u.Cause == nil || strings.Contains(u.Error(), "127.0.0.1") {
		t.Errorf("got %v: want a line for the person, and the cause for the log alone", err)
	}
	if _, err := d.Open(t.Context(), host, ""); err == nil || !strings.Contains(err.Error(), "account") {
		t.Errorf("without an account: %v", err)
	}
}

func TestAnAddressIsDialled(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	d := NewDirectory(NewAddresses([]Entry{{Name: "old", Address: listener.Addr().String(), Account: "dev"}}))
	host, err := d.Lookup(t.Context(), "old")
	if err != nil || host.Account != "dev" || d.ComingBack("old") {
		t.Fatalf("%+v, %v", host, err)
	}
	entrance, err := d.Open(t.Context(), host, host.Account)
	if err != nil || entrance.Sshd == nil || entrance.Sshd.Host != "old" || len(entrance.Sshd.HostKeys) != 1 {
		t.Fatalf("%+v, %v", entrance, err)
	}
	entrance.Sshd.Close()
}

func TestAddressesAreExchanged(t *testing.T) {
	a := NewAddresses([]Entry{{Name: "old", Address: "127.0.0.1:1"}})
	host, err := a.Lookup(t.Context(), "old")
	if err != nil {
		t.Fatal(err)
	}
	a.Replace([]Entry{{Name: "new", Address: "127.0.0.1:1"}, {Name: "box", Container: "x"}})
	if all := a.List(t.Context()); len(all) != 1 || all[0].Name != "new" {
		t.Errorf("lists %+v", all)
	}
	if _, err := a.Open(t.Context(), host, "dev"); err == nil || !strings.Contains(err.Error(), "does not exist any more") {
		t.Errorf("a host that was looked up before: %v", err)
	}
}
