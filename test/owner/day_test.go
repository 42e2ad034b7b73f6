package owner

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// get asks a gateway at its unix socket.
func get(t *testing.T, socket, path string) (text string, status int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	answer, err := client.Get("http://gateway" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(all), answer.StatusCode
}

// numbers are the metrics by their names and labels.
func numbers(t *testing.T, socket string) map[string]uint64 {
	t.Helper()
	text, _ := get(t, socket, "/metrics")
	all := map[string]uint64{}
	for _, line := range regexp.MustCompile(`(?m)^(berth_\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
		value, err := strconv.ParseFloat(line[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		all[line[1]] = uint64(value)
	}
	return all
}

// event is a line of the audit file, as far as this test counts.
type event struct {
	Event, Kind string
	Pty         bool
	Up, Down    uint64
}

func events(t *testing.T, file string) (all []event) {
	t.Helper()
	for line := range strings.Lines(harness.Read(t, file)) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func count(all []event, name, kind string) (n uint64) {
	for _, e := range all {
		if e.Event == name && e.Kind == kind {
			n++
		}
	}
	return n
}

// Whoever reads the sessions, the metrics, the audit file or the recordings of a day
// reads the same: counts and bytes.
func TestADayIsToldAlikeEverywhere(t *testing.T) {
	dir := t.TempDir()
	socket, file := filepath.Join(dir, "m.sock"), filepath.Join(dir, "audit.jsonl")
	recordings := filepath.Join(dir, "recordings")
	m := harness.StartMachine(t, "metrics: unix:"+socket, "audit: { file: "+file+" }", "record: { dir: "+recordings+", hosts: [ '*' ] }")
	for _, path := range []string{"/healthz", "/readyz"} {
		if text, status := get(t, socket, path); status != 200 {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	commands := uint64(0)
	for _, to := range m.Doors() {
		to.Want(t, "ssh h echo one", "one\n")
		to.Run(t, "ssh -tt h 'echo shown at "+to.Name+"'")
		to.Want(t, "head -c 300000 /dev/zero | ssh h 'wc -c'", "300000\n")
		to.Want(t, "echo text >f; scp -q f h:"+dir+"/copied; sftp -q -b - h <<<'ls "+dir+"/copied' >/dev/null", "")
		commands += 3
	}
	echo := harness.StartLocalEcho(t)
	m.Local.Want(t, "ssh -W 127.0.0.1:"+echo+" h </dev/null", "")
	bad := m.Local
	bad.Key = harness.MakeKey(t, dir, "stranger")
	if _, err := enter(t, bad); err == nil {
		t.Fatal("a stranger is in")
	}
	stays := m.Relay.StartCat(t)
	harness.Eventually(t, "one connection is left", func() bool { return len(sessions(t, m.Gateway)) == 1 })
	live := only(t, m.Gateway)
	told := events(t, file)
	have := numbers(t, socket)
	ins := count(told, "logged_in", "")
	for name, want := range map[string]uint64{
		`berth_connections`: 1,
		`berth_sessions`:    1,
		`berth_logins_total{method="publickey",outcome="ok"}`:     ins,
		`berth_logins_total{method="publickey",outcome="failed"}`: count(told, "login_tried", ""),
		`berth_key_exchange_seconds_count`:                        ins,
		`berth_reach_seconds_count{route="local"}`:                6,
		`berth_reach_seconds_count{route="sshd"}`:                 6,
		`berth_sessions_total{kind="exec"}`:                       count(told, "session", "exec"),
		`berth_sessions_total{kind="subsystem"}`:                  count(told, "session", "subsystem"),
		`berth_forwards_total`:                                    count(told, "forward", ""),
		`berth_hosts{route="local",state="up"}`:                   1,
		`berth_bytes_total{direction="up"}`:                       sumOf(told, func(e event) uint64 { return e.Up }) + live.Up,
		`berth_bytes_total{direction="down"}`:                     sumOf(told, func(e event) uint64 { return e.Down }) + live.Down,
	} {
		if have[name] != want {
			t.Errorf("%s is %d, want %d", name, have[name], want)
		}
	}
	if exec := count(told, "session", "exec"); ins != 12 || exec < commands+1 || count(told, "left", "") != ins-1 || count(told, "forward", "") != 1 || count(told, "login_tried", "") == 0 {
		t.Errorf("%d logins, %d commands; the audit file:\n%s", ins, exec, harness.Read(t, file))
	}
	if up := sumOf(told, func(e event) uint64 { return e.Up }); up < 600_000 {
		t.Errorf("%d bytes up, of which two commands had 300000 each", up)
	}
	stays.WantLine(t, "still here")
	terminals := 0
	for _, e := range told {
		if e.Event == "session" && e.Pty {
			terminals++
		}
	}
	kept := strings.Fields(must(t, m.Gateway, "replay"))
	var shown []string
	for _, word := range kept {
		if strings.HasSuffix(word, ".cast.gz") {
			out, err := exec.Command(harness.Program("gateway"), "replay", "--speed", "100", word).CombinedOutput()
			if err != nil {
				t.Errorf("replay: %v: %s", err, out)
			}
			shown = append(shown, string(out))
		}
	}
	const warning = "berth: what this terminal shows is recorded\r\n"
	if len(shown) != terminals || terminals != 2 || shown[0] != warning+"shown at relay\r\n" || shown[1] != warning+"shown at local\r\n" {
		t.Errorf("%d sessions at a terminal; recordings: %q", terminals, shown)
	}
}

// sumOf sums over the connections that are over.
func sumOf(all []event, of func(event) uint64) (sum uint64) {
	for _, e := range all {
		if e.Event == "left" {
			sum += of(e)
		}
	}
	return sum
}
