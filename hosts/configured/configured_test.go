package configured

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/state"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An engine that is down costs nobody a host that needs none.
func TestHostsThatNeedNoEngineAreThereWithoutOne(t *testing.T) {
	st, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := Open(hosts.Settings{Docker: "unix://" + filepath.Join(t.TempDir(), "no-engine"), Entries: []hosts.Entry{
		{Name: "here", Route: labels.RouteLocal, Account: "dev"},
		{Name: "there", Route: labels.RouteSshd, Address: "127.0.0.1:1", Account: "dev"},
		{Name: "box", Route: labels.RouteExec, Container: "box"},
	}}, st, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.Run(ctx)
	}()
	defer h.Close()
	defer func() {
		cancel()
		<-ended
	}()
	for name, route := range map[string]string{"here": labels.RouteLocal, "there": labels.RouteSshd} {
		if host, err := h.Lookup(t.Context(), name); err != nil || host.Route != route || host.Account != "dev" || h.ComingBack(name) {
			t.Errorf("%s: %+v, %v", name, host, err)
		}
	}
	for _, name := range []string{"box", "other"} {
		if _, err := h.Lookup(t.Context(), name); err == nil || !strings.Contains(err.Error(), "the engine does not answer") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := h.RemoveOldHelpers(); err != nil {
		t.Error(err)
	}
}
