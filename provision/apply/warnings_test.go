package apply

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/provision/progress"
)

// engineThatSays returns a client of an engine that gives this answer to each call
// that creates something.
func engineThatSays(t *testing.T, status int, answer string) *client.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodGet {
			fmt.Fprint(w, `{"Id":"sha256:made","Config":{}}`)
			return
		}
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	api, err := client.New(client.WithHost(strings.Replace(server.URL, "http", "tcp", 1)), client.WithAPIVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// The engine warns only once of settings that it ignores: when it creates the
// container.
func TestTheEnginesWarningsAreShown(t *testing.T) {
	out, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	e := &Executor{API: engineThatSays(t, http.StatusCreated, `{"Id":"x","Warnings":["no swap limit here\nforged"]}`), Progress: progress.New(out)}
	service := compose.Service{Container: "lab-a-1", Image: compose.Image{Ref: "i"}, Config: container.Config{Image: "i"}}
	service.Networks = []compose.Attachment{{Network: "n", Settings: &network.EndpointSettings{MacAddress: network.HardwareAddr{2, 0, 0, 0, 0, 1}}}}
	if err := e.CarryOut(t.Context(), plan.Step{Op: plan.OpCreate, Kind: plan.KindContainer, Name: "lab-a-1", Service: service}); err != nil {
		t.Fatal(err)
	}
	out.Seek(0, io.SeekStart)
	said, _ := io.ReadAll(out)
	if string(said) != "lab-a-1: the engine warns: no swap limit here forged\nlab-a-1: the engine warns: mac_address is left out: that needs an engine of version 25 or later\n" {
		t.Errorf("shown: %q", said)
	}
}

func TestWhenThereAreNoMoreAddresses(t *testing.T) {
	for _, text := range []string{
		"could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
		"all predefined address pools have been fully subnetted",
	} {
		e := &Executor{API: engineThatSays(t, http.StatusBadRequest, `{"message":"`+text+`"}`), Progress: &progress.Progress{}}
		err := e.CarryOut(t.Context(), plan.Step{Op: plan.OpCreate, Kind: plan.KindNetwork, Name: "n", Network: compose.Network{Name: "n"}})
		if err == nil || !strings.Contains(err.Error(), text+": docker network prune") {
			t.Errorf("got %v", err)
		}
	}
}
