package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// Containers end for as many reasons as people meet; ps and doctor say which.
func TestWhyHostsEndedIsToldByPsAndDoctor(t *testing.T) {
	l := newLab(t)
	// greedy waits, as the engine learns of the kernel's killing from a watch that
	// it sets up only after the start.
	file := l.File(`
x-small: &small {image: ` + os.Getenv("BERTH_BASE_IMAGE") + `, network_mode: none}
services:
  failed:  {<<: *small, command: [sh, -c, "printf 'first\nno \\033[31msuch file\n' >&2; exit 3"]}
  greedy:  {<<: *small, command: [sh, -c, sleep 2; exec tail /dev/zero], mem_limit: 32m, memswap_limit: 32m}
  stopped: {<<: *small, command: [sleep, infinity]}
  finished: {<<: *small, command: [echo, all done]}
  runs:    {<<: *small, command: [sleep, infinity]}
`)
	if out, err := l.run("up", "-f", file); err == nil {
		t.Fatalf("up finds nothing wrong:\n%s", out)
	}
	l.mustRun("stop", l.Host("stopped"))
	// The engine refuses what is not in the image, and remembers why.
	unstartable := l.File("services: {unstartable: {image: " + os.Getenv("BERTH_BASE_IMAGE") + ", init: false, network_mode: none, command: [/no/such/program]}}")
	if _, err := l.run("up", "-f", unstartable); err == nil {
		t.Fatal("a container without its program starts")
	}

	shown := ""
	harness.Eventually(t, "greedy ends", func() bool {
		shown = l.mustRun("ps")
		return strings.Contains(shown, "\n"+l.Host("greedy")+": ")
	})
	problems, _ := l.run("doctor")
	for host, want := range map[string]struct {
		why   string
		fault bool
	}{
		"failed":      {`its command ended with code 3: no \?\[31msuch file`, true},
		"greedy":      {`the kernel killed it for want of memory: its limit is 32MiB, at \d\d:\d\d on \d+ \w+.*`, true},
		"stopped":     {`somebody stopped it by the engine \(SIG(TERM|KILL).*\)`, false},
		"finished":    {`its command ended: all done`, false},
		"unstartable": {`the engine could not start it: .*/no/such/program.*`, true},
	} {
		if !regexp.MustCompile(`(?m)^` + l.Host(host) + `: ` + want.why + `$`).MatchString(shown) {
			t.Errorf("ps does not say of %s: %s", host, want.why)
		}
		told := regexp.MustCompile(`(?m)^container ` + l.Name + `-` + host + `-1 does not run: ` + want.why + `$`).MatchString(problems)
		if told != want.fault {
			t.Errorf("doctor says of %s: %t", host, told)
		}
	}
	if strings.Contains(shown, "\n"+l.Host("runs")+": ") || !strings.Contains(problems, "berth-provision logs failed") {
		t.Errorf("want nothing of one that runs, and a cure")
	}
	if t.Failed() {
		t.Logf("ps:\n%s\ndoctor:\n%s", shown, problems)
	}
}
