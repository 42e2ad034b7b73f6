package packaging

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// gateway.yaml may have listen: :22 or :443, so the unit lets the gateway bind them.
func TestTheUnitMayBindTheUsualPorts(t *testing.T) {
	unit, err := os.ReadFile("berth-gateway.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"CapabilityBoundingSet", "AmbientCapabilities"} {
		for _, line := range regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(string(unit), -1) {
			if !slices.Contains(strings.Fields(line[1]), "CAP_NET_BIND_SERVICE") {
				t.Errorf("%s lets it bind no port below 1024", line[0])
			}
		}
	}
	if !regexp.MustCompile(`(?m)^CapabilityBoundingSet=`).Match(unit) || regexp.MustCompile(`(?m)^(SocketBindDeny|User)=`).Match(unit) {
		t.Error("the unit has no bounding set, or other rules about ports: look at this test again")
	}
}

// The process that parses the network gives up its account and its capabilities, and
// shuts itself off, which the unit must not forbid.
func TestTheUnitLetsTheFrontGiveUpWhatItHas(t *testing.T) {
	unit, err := os.ReadFile("berth-gateway.service")
	if err != nil {
		t.Fatal(err)
	}
	words := func(line string) string {
		return " " + strings.Join(regexp.MustCompile(`(?m)^`+line+`=(.*)$`).FindAllString(string(unit), -1), " ") + " "
	}
	for _, capability := range []string{"CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_KILL"} {
		if !regexp.MustCompile(`[ =]` + capability + ` `).MatchString(words("CapabilityBoundingSet")) {
			t.Errorf("the unit lacks %s", capability)
		}
	}
	_, afterwards, _ := strings.Cut(words("SystemCallFilter"), "~@privileged")
	for _, call := range []string{"@setuid", "capset", "seccomp", "landlock_restrict_self"} {
		if !regexp.MustCompile(`[ =]` + call + ` `).MatchString(afterwards) {
			t.Errorf("the unit forbids %s", call)
		}
	}
}
