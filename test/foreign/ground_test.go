package foreign

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// keys are what a suite's server proves itself by, and what opens it.
type keys struct {
	hosts map[string]string // private host keys, by the files in a gateway's state
	users []string          // lines of authorized_keys
}

// ground has every door for a suite: they lead to the same files, by the same
// account, with the same network, since suites ask a server for the files that
// they made.
type ground struct {
	dir   string // which every door sees
	bare  door
	doors []door
}

// door is where a suite's clients are sent.
type door struct {
	harness.Target
	name string
	port string // for an sshd of the suite's own
	sshd string // a program that is called as sshd is, and leads to this door
}

var doorNames = []string{"relay", "local", "exec", "streams"}

// startGround starts a bare sshd and a gateway for each route, so that each can
// be entered by the account's name alone, as the suites do.
func startGround(t *testing.T, k keys) ground {
	t.Helper()
	harness.Need(t, "/usr/sbin/sshd", "ssh", "docker", python)
	g := ground{dir: harness.OpenDir(t)}
	bare := harness.StartMachine(t).SSHD
	g.bare = door{bare, "bare", harness.FreePort(t), "/usr/sbin/sshd"}
	container := g.startContainer(t)
	own := bare.Login
	for _, name := range doorNames {
		dir, by := t.TempDir(), harness.Runner(harness.PlainHome)
		config := map[string]string{
			"relay": fmt.Sprintf("{ route: sshd, address: %s, key_file: %s, host_key: %s }", bare.Address, bare.Key, hostKeyOf(t, bare)),
			"local": "{ route: local }",
		}[name]
		if config == "" {
			config = fmt.Sprintf("{ route: exec, container: %s, account: %s }", container, own)
		}
		var settings string
		if name == "streams" {
			place := harness.BehindTLS(harness.StartTLSEngine(t))
			settings, by = "docker: "+place.Docker+"\n", place.By
		}
		k.writeHostKeys(t, harness.StateOf(dir))
		account := own
		if name == "local" {
			account = "" // there is one alone
		}
		users := fmt.Sprintf("%q: { keys: [ %s ], hosts: { the: %s } }", own, strings.Join(append(k.users, harness.PublicKey(t, bare.Key)), ", "), account)
		gateway := harness.StartGatewayBy(t, dir, fmt.Sprintf("users:\n  %s\nhosts:\n  the: %s\n%s", users, config, settings), by)
		to := gateway.Target(t, name, own, bare.Key)
		g.doors = append(g.doors, door{to, name, harness.FreePort(t), standIn(t, dir, to)})
	}
	return g
}

func (k keys) writeHostKeys(t *testing.T, state string) {
	t.Helper()
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	for file, key := range k.hosts {
		harness.Write(t, filepath.Join(state, file), 0o600, key)
	}
}

// startContainer starts one that has the machine's network and the ground's
// files, and returns its name.
func (g ground) startContainer(t *testing.T) string {
	t.Helper()
	image := harness.StartContainer(t).Image(t)
	return harness.RunContainer(t, "--init", "--network", "host", "-v", g.dir+":"+g.dir,
		"--label", "berth.host="+harness.HostName(fmt.Sprintf("foreign-%d", rand.IntN(1e9))),
		"--entrypoint", "sleep", image, "infinity")
}

// hostKeyOf is the key of a door, as gateway.yaml has it.
func hostKeyOf(t *testing.T, to harness.Target) string {
	t.Helper()
	_, key, _ := strings.Cut(strings.TrimSpace(harness.Read(t, to.KnownHosts)), " ")
	return key
}

// python is that of the system: there may be another one in the home directory, which
// stand-ins do not see.
const python = "/usr/bin/python3"

// standIn writes a program that is called as sshd is, and leads to a door.
func standIn(t *testing.T, dir string, to harness.Target) string {
	t.Helper()
	program := filepath.Join(dir, "stand_in.py")
	harness.Write(t, program, 0o600, harness.Read(t, "testdata/stand_in.py"))
	file := filepath.Join(dir, "sshd")
	harness.Write(t, file, 0o755, fmt.Sprintf("#!/bin/sh\nexec %s -IS %s %s \"$@\"\n", python, program, to.Address))
	return file
}
