package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/plan"
)

func TestPsTellsHowHostsAreEntered(t *testing.T) {
	exec := map[string]string{labels.Host: "lab", labels.Route: labels.RouteExec}
	mount := []container.MountPoint{{Destination: labels.HelperMount}}
	unmounted := hosts.ByStreams
	if os.Geteuid() == 0 {
		unmounted = hosts.ByDescriptors
	}
	for _, c := range []struct {
		engine string
		labels map[string]string
		mounts []container.MountPoint
		want   string
	}{
		{"unix:///var/run/docker.sock", exec, mount, hosts.ByDescriptors},
		{"unix:///var/run/docker.sock", exec, nil, unmounted},
		{"tcp://engine:2376", exec, mount, hosts.ByStreams},
		{"unix:///var/run/docker.sock", map[string]string{labels.Route: labels.RouteSshd}, mount, "-"},
	} {
		api, err := docker.Connect(docker.Address{URL: c.engine})
		if err != nil {
			t.Fatal(err)
		}
		got := stateTable(api.Client, []plan.Container{{Labels: c.labels, Mounts: c.mounts, State: "running"}}, nil, time.Now())
		if row := strings.Fields(strings.SplitAfter(got, "\n")[1]); !strings.Contains(got, "VIA") || !slices.Contains(row, c.want) {
			t.Errorf("%s, %v: want %s in\n%s", c.engine, c.labels, c.want, got)
		}
	}
}

// Who is on is a column where a gateway answers, and none where nobody does.
func TestPsShowsWhoIsOn(t *testing.T) {
	api, err := docker.Connect(docker.Address{URL: "unix:///var/run/docker.sock"})
	if err != nil {
		t.Fatal(err)
	}
	have := []plan.Container{{ID: "c1", Name: "one", State: "running"}, {ID: "c2", Name: "two", State: "running"}}
	got := stateTable(api.Client, have, map[string][]string{"c1": {"anna", "dev"}}, time.Now())
	rows := strings.Split(got, "\n")
	if !strings.HasSuffix(rows[0], "PEOPLE") || !strings.HasSuffix(rows[1], "anna, dev") || !strings.HasSuffix(strings.TrimSpace(rows[2]), "-") {
		t.Errorf("got\n%s", got)
	}
	if got := stateTable(api.Client, have, whoIsOn(t.Context(), t.TempDir()), time.Now()); strings.Contains(got, "PEOPLE") {
		t.Errorf("without a gateway:\n%s", got)
	}
}
