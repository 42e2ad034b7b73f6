package main

import (
	"os"
	"strings"
	"testing"

	"github.com/moby/moby/client"
)

// docker network prune while hosts are stopped takes their networks away.
func TestHostsAreAttachedAgainToANetworkThatWasRemoved(t *testing.T) {
	l := newLab(t)
	file := l.File("services: {own: {image: " + os.Getenv("BERTH_BASE_IMAGE") + ", command: sleep 1000, stop_grace_period: 0s, networks: [near, far]}}\n" +
		"networks: {near: {internal: true}, far: {internal: true}}\n")
	l.mustRun("up", "-f", file)
	id := l.Inspect("own").ID
	l.mustRun("stop", "-f", file)
	for _, name := range []string{"_near", "_far"} {
		if _, err := l.API.NetworkRemove(t.Context(), l.Name+name, client.NetworkRemoveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	l.mustRun("up", "-f", file)
	c := l.Inspect("own")
	if c.ID != id || !c.State.Running || len(c.NetworkSettings.Networks) != 2 {
		t.Errorf("recreated: %v, running: %v, on %v", c.ID != id, c.State.Running, c.NetworkSettings.Networks)
	}
	for name, endpoint := range c.NetworkSettings.Networks {
		if !endpoint.IPAddress.IsValid() {
			t.Errorf("no address on %s", name)
		}
	}
	if out := l.mustRun("up", "-f", file); !strings.Contains(out, "nothing to do") {
		t.Errorf("a second up:\n%s", out)
	}
	open := l.File("services: {own: {image: x, networks: [near]}}\nnetworks: {near: {}}\n")
	if _, err := l.run("plan", "-f", open); err == nil || !strings.Contains(err.Error(), "_near: internal: true → false; the engine changes no network") {
		t.Errorf("changed options: %v", err)
	}
}
