package attack

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

const (
	alicePassword = "alice's own"
	bobPassword   = "bob's own"
)

// entered is what attempts that come in print.
const entered = "success\nin\nexit 0\n"

// TestAttacks tells the attacks that gateways like this one have fallen for.
// Alice may enter a, Bob may enter b; the attacker is Alice.
func TestAttacks(t *testing.T) {
	t.Parallel()
	harness.Need(t, "ssh-keygen", "ssh")
	python := harness.Paramiko(t)
	dir := t.TempDir()
	alice, bob := harness.MakeKey(t, dir, "alice"), harness.MakeKey(t, dir, "bob")
	door, knocks := countKnocks(t)
	g := harness.StartGateway(t, dir, fmt.Sprintf(`
exempt: [ 127.0.0.1 ] # of what wrong passwords cost, which other tests are about
users:
  alice:
    password: %s
    keys: [ %s ]
    hosts: { a:, c: root }
  bob:
    password: %s
    keys: [ %s ]
    hosts: { b: }
hosts:
  a: { route: local }
  b: { route: local }
  c: { route: sshd, address: %s, key_file: %s, host_key: %s }
`, harness.HashOf(t, alicePassword), harness.PublicKey(t, alice), harness.HashOf(t, bobPassword), harness.PublicKey(t, bob),
		door.Addr(), alice, harness.PublicKey(t, bob)))
	a := attacks{g, python, alice, bob}

	t.Run("alice_and_bob_come_in", a.everybodyComesIn)
	t.Run("user_is_switched_between_attempts", a.switchUser)
	t.Run("key_is_asked_about_and_never_proved", a.queryKey)
	t.Run("host_is_not_granted", a.enterUngranted)
	t.Run("answers_tell_nothing_before_login", a.probe)
	t.Run("logins_that_are_none", a.strangeLogins)
	t.Run("failed_logins_reach_no_host", func(t *testing.T) { a.failOften(t, knocks) })
}

// countKnocks is an sshd that opens to nobody.
func countKnocks(t *testing.T) (net.Listener, *atomic.Int32) {
	t.Helper()
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { door.Close() })
	knocks := &atomic.Int32{}
	go func() {
		for conn, err := door.Accept(); err == nil; conn, err = door.Accept() {
			knocks.Add(1)
			conn.Close()
		}
	}()
	return door, knocks
}

// An sshd that punishes an address for failures (PerSourcePenalties) would
// punish all who come from the gateway's.
func (a attacks) failOften(t *testing.T, knocks *atomic.Int32) {
	for range 6 {
		wrong := sign("alice+c", a.bob)
		a.want(t, strings.Repeat(failure, 5), wrong, wrong, wrong, wrong, wrong)
	}
	if count := knocks.Load(); count != 0 {
		t.Errorf("30 failed logins knocked at the host %d times", count)
	}
	a.try(t, password("alice+c", alicePassword))
	if knocks.Load() == 0 {
		t.Error("nor did one that succeeded")
	}
}

type attacks struct {
	*harness.Gateway
	python     string
	alice, bob string // files of their keys
}

// attempt is one SSH_MSG_USERAUTH_REQUEST.
type attempt map[string]string

func password(user, password string) attempt {
	return attempt{"method": "password", "user": encode(user), "password": password}
}

// query asks whether a key would do, without a signature.
func query(t *testing.T, user, keyFile string) attempt {
	t.Helper()
	return attempt{"method": "query", "user": encode(user), "key": strings.Fields(harness.PublicKey(t, keyFile))[1]}
}

func sign(user, keyFile string) attempt {
	return attempt{"method": "sign", "user": encode(user), "file": keyFile}
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// try makes the attempts on one connection (testdata/attempts.py).
func (a attacks) try(t *testing.T, attempts ...attempt) string {
	t.Helper()
	input, err := json.Marshal(attempts)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(a.Address)
	command := exec.Command(a.python, "testdata/attempts.py", port)
	command.Stdin = bytes.NewReader(input)
	return harness.Must(t, command)
}

func (a attacks) want(t *testing.T, want string, attempts ...attempt) {
	t.Helper()
	if got := a.try(t, attempts...); got != want {
		t.Errorf("%v\n got %q\nwant %q", attempts, got, want)
	}
}

// wantBobOutside wants nobody to have been taken for Bob, or to have entered b.
func (a attacks) wantBobOutside(t *testing.T, attack func()) {
	t.Helper()
	before := len(a.Records(t))
	attack()
	for _, r := range a.Records(t)[before:] {
		if r["user"] == "bob" || r["msg"] == "entered" && r["host"] == "b" {
			t.Errorf("the log tells of %v", r)
		}
	}
}

const failure = "failure password,publickey,keyboard-interactive\n"

func (a attacks) everybodyComesIn(t *testing.T) {
	a.want(t, entered, password("alice+a", alicePassword))
	a.want(t, entered, password("bob+b", bobPassword))
	a.want(t, "known\n"+entered, query(t, "bob+b", a.bob), sign("bob+b", a.bob))
	if !slices.ContainsFunc(a.Records(t), func(r harness.Record) bool { return r["user"] == "bob" && r["host"] == "b" }) {
		t.Error("the log does not say who enters what: no attack below would be noticed")
	}
	harness.Eventually(t, "the log tells the end of each", func() bool {
		closed := 0
		for _, r := range a.Records(t) {
			if r["msg"] == "closed" {
				closed++
			}
		}
		return closed == 3
	})
}

// A server that fixes the identity at the first attempt and routes by the last
// lets Alice into Bob's host.
func (a attacks) switchUser(t *testing.T) {
	a.wantBobOutside(t, func() {
		a.want(t, failure+failure, password("alice+a", "wrong"), password("bob+b", alicePassword))
		a.want(t, failure+failure, sign("bob+b", a.alice), password("bob+b", alicePassword))
		a.want(t, failure+entered, password("bob+b", "wrong"), password("alice+a", alicePassword))
	})
}

// A server that remembers the last key it was asked about takes Alice for Bob
// (CVE-2024-45337).
func (a attacks) queryKey(t *testing.T) {
	a.wantBobOutside(t, func() {
		a.want(t, "known\n"+entered, query(t, "bob+b", a.bob), password("alice+a", alicePassword))
		a.want(t, "known\n"+failure, query(t, "bob+b", a.bob), sign("bob+b", a.alice))
		a.want(t, "known\n"+entered, query(t, "bob+b", a.bob), sign("alice+a", a.alice))
		a.want(t, "known\nknown\n"+failure, query(t, "alice+a", a.alice), query(t, "bob+b", a.bob), sign("bob+b", a.alice))
	})
}

func (a attacks) enterUngranted(t *testing.T) {
	a.wantBobOutside(t, func() {
		got := a.try(t, password("alice+b", alicePassword))
		lines := strings.Split(strings.TrimSpace(got), "\n")
		if len(lines) != 3 || lines[0] != "success" || !strings.HasPrefix(lines[1], "berth: ") || lines[2] != "exit 255" {
			t.Errorf("got %q, want one readable line and exit 255", got)
		}
		unknown := a.try(t, password("alice+nonesuch", alicePassword))
		if strings.ReplaceAll(unknown, "nonesuch", "b") != got {
			t.Errorf("a host that is not there is told from one that is: %q, %q", unknown, got)
		}
	})
}

func (a attacks) probe(t *testing.T) {
	for _, user := range []string{"alice+a", "alice+b", "alice+nonesuch", "alice+root@a", "mallory", "mallory+a", "not a login"} {
		a.want(t, failure+failure, password(user, "wrong"), query(t, user, harness.MakeKey(t, t.TempDir(), "new")))
	}
}

func (a attacks) strangeLogins(t *testing.T) {
	logins := []string{
		"", " ", "+", "alice+", "+a", "alice+a+b", "alice++a", "ALICE+a", "alice+A", "alice @a", "alice+a ", "alice@a@b",
		"-oProxyCommand=id", "alice+-oProxyCommand=id", "alice+../a", "alice+.", "аlice+a", "alice+a\x00b", "alice\x00+a",
		"alice+a\nmsg=entered user=bob", "\x1b[2Jalice+a", "\xff\xfe", strings.Repeat("a", 64<<10),
	}
	for _, login := range logins {
		if got := a.try(t, password(login, alicePassword)); strings.Contains(got, "in\n") {
			t.Errorf("login %q comes in: %q", login, got)
		}
	}
	a.want(t, entered, password("alice+a", alicePassword))
	for line := range strings.Lines(a.Log(t)) {
		if !strings.HasPrefix(line, "time=") || strings.ContainsAny(line, "\x1b\x00") || len(line) > 4<<10 {
			t.Errorf("a log line that a login wrote: %s", harness.Brief(line))
		}
	}
}
