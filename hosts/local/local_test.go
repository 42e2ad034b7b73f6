package local

import (
	"errors"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-ssh/berth/helper"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/machine"

	"go.uber.org/goleak"
)

// The helper is this very program in another role.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "helper" && os.Args[2] == "child" {
		helper.RunChild()
		syscall.Exit(0) // at once: os.Exit takes a second under the race detector
	}
	goleak.VerifyTestMain(m)
}

func newSource(entries ...hosts.Entry) *Source {
	return New(entries, slog.New(slog.DiscardHandler))
}

func TestOnlyEntriesOfRouteLocalAreThisMachine(t *testing.T) {
	s := newSource(hosts.Entry{Name: "box", Route: labels.RouteLocal, Account: "dev"}, hosts.Entry{Name: "lab", Route: labels.RouteExec, Container: "lab"})
	defer s.Close()
	s.Run(t.Context())
	host, err := s.Lookup(t.Context(), "box")
	if want := (hosts.Host{Name: "box", Route: labels.RouteLocal, Account: "dev"}); err != nil || !reflect.DeepEqual(host, want) {
		t.Errorf("got %+v, %v, want %+v", host, err, want)
	}
	var u *hosts.Unreachable
	if _, err := s.Lookup(t.Context(), "lab"); !errors.As(err, &u) || !u.Unknown {
		t.Errorf("another route: %v", err)
	}
	for name, isKnown := range map[string]bool{"box": true, "lab": false} {
		if comingBack, known := s.ComingBack(name); comingBack || known != isKnown {
			t.Errorf("%s: %v, %v", name, comingBack, known)
		}
	}
}

func TestThisMachineIsOpenedByAChild(t *testing.T) {
	s := newSource(hosts.Entry{Name: "box", Route: labels.RouteLocal})
	defer s.Close()
	host, err := s.Lookup(t.Context(), "box")
	if err != nil {
		t.Fatal(err)
	}
	entrance, err := s.Open(t.Context(), host, "")
	if err != nil {
		t.Fatal(err)
	}
	defer entrance.Machine.Close()
	process, err := entrance.Machine.Start(machine.Command{Kind: machine.Exec, Line: "exit 7"})
	if err != nil {
		t.Fatal(err)
	}
	defer process.Close()
	if exit := <-process.Exit; exit.Request != "exit-status" || exit.Payload[3] != 7 {
		t.Errorf("ended with %+v", exit)
	}
}

func TestAnAccountThatIsNotHereIsRefused(t *testing.T) {
	s := newSource(hosts.Entry{Name: "box", Route: labels.RouteLocal})
	defer s.Close()
	_, err := s.Open(t.Context(), hosts.Host{Name: "box"}, "no-such-account")
	if err == nil || !strings.Contains(err.Error(), "has no account no-such-account") {
		t.Errorf("%v", err)
	}
}
