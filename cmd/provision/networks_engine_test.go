package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"
)

// An address that the files choose is had by one container at a time, and the host has
// it again when it is recreated.
func TestChosenAddressesAreKept(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	subnet := fmt.Sprintf("10.213.%d", rand.IntN(256))
	const mac = "02:42:ac:00:00:09"
	file := func(a string) string {
		return l.File("services: {own: {image: " + os.Getenv("BERTH_BASE_IMAGE") + ", command: sleep 1000, stop_grace_period: 0s, environment: {A: " + a + "}, " +
			"networks: {near: {ipv4_address: " + subnet + ".9, mac_address: '" + mac + "'}}}}\n" +
			"networks: {near: {internal: true, ipam: {config: [{subnet: " + subnet + ".0/24}]}}}\n")
	}
	for _, a := range []string{"one", "two"} {
		l.mustRun("up", "--yes", "-f", file(a))
		at := l.Inspect("own").NetworkSettings.Networks[l.Name+"_near"]
		if at.IPAddress.String() != subnet+".9" || l.In("own", "echo $A") != a {
			t.Errorf("%s: at %s", a, at.IPAddress)
		}
		if !versions.LessThan(l.API.ClientVersion(), "1.44") && at.MacAddress.String() != mac { // older ones take none
			t.Errorf("%s: %s", a, at.MacAddress)
		}
	}
	if out := l.mustRun("up", "-f", file("two")); !strings.Contains(out, "nothing to do") {
		t.Errorf("a third up:\n%s", out)
	}
}

// docker network prune while hosts are stopped takes their networks away.
func TestHostsAreAttachedAgainToANetworkThatWasRemoved(t *testing.T) {
	t.Parallel()
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
