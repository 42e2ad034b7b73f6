package owner

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// numbers are the metrics by their names and labels.
func numbers(t *testing.T, socket string) map[string]uint64 {
	t.Helper()
	text, _ := harness.Get(t, "unix:"+socket, "/metrics")
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
	Event, Conn, Kind, Action string
	Session                   uint64
	Pty                       bool
	Exit                      *uint64
	Up, Down, Bytes           uint64
}

type events []event

func eventsIn(t *testing.T, file string) (all events) {
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

// of are the events of this name, and of this kind where one is named.
func (all events) of(name, kind string) (found events) {
	for _, e := range all {
		if e.Event == name && (kind == "" || e.Kind == kind) {
			found = append(found, e)
		}
	}
	return found
}

func (all events) up() (sum uint64) {
	for _, e := range all {
		sum += e.Up
	}
	return sum
}

func (all events) down() (sum uint64) {
	for _, e := range all {
		sum += e.Down
	}
	return sum
}

// day is a gateway on which a day was done, and one connection that is still there.
type day struct {
	machine        harness.Machine
	socket         string // of the metrics
	told           events
	live           connection
	stays          *harness.Client
	doors, logins  int
	sent, received uint64 // by commands that ended, through no terminal
}

// Whoever reads the sessions, the metrics, the audit file or the recordings of a day
// reads the same: counts and bytes.
func TestADayIsToldAlikeEverywhere(t *testing.T) {
	d := liveADay(t)
	d.auditAgrees(t)
	d.metricsAgree(t)
	d.recordingsAgree(t)
	d.sessionsAgree(t)
}

func liveADay(t *testing.T) *day {
	t.Helper()
	dir := t.TempDir()
	d := &day{socket: filepath.Join(dir, "m.sock")}
	file := filepath.Join(dir, "audit.jsonl")
	d.machine = harness.StartMachine(t, "metrics: unix:"+d.socket, "audit: { file: "+file+" }",
		"record: { dir: "+filepath.Join(dir, "recordings")+", hosts: [ '*' ] }")
	for _, path := range []string{"/healthz", "/readyz"} {
		if text, status := harness.Get(t, "unix:"+d.socket, path); status != 200 {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	echo := harness.StartLocalEcho(t)
	for _, to := range d.machine.Doors() {
		to.Want(t, "ssh h 'echo one; exit 3'; echo $?", "one\n3\n")
		to.Want(t, "head -c 300000 /dev/zero | ssh h 'wc -c'", "300000\n")
		to.Run(t, "ssh -tt h 'echo shown at "+to.Name+"'")
		to.Want(t, "echo text >f; scp -q f h:"+dir+"/copied; sftp -q -b - h <<<'ls "+dir+"/copied' >/dev/null", "")
		to.Want(t, "printf 12345 | ssh -W 127.0.0.1:"+echo+" h", "12345")
		d.doors, d.logins = d.doors+1, d.logins+6
		d.sent, d.received = d.sent+300000, d.received+uint64(len("one\n300000\n"))
	}
	bad := d.machine.Local
	bad.Key = harness.MakeKey(t, dir, "stranger")
	if _, err := enter(t, bad); err == nil {
		t.Fatal("a stranger is in")
	}
	d.stays = d.machine.Relay.StartCat(t)
	d.logins++
	harness.Eventually(t, "one connection is left", func() bool { return len(sessions(t, d.machine.Gateway)) == 1 })
	d.live, d.told = only(t, d.machine.Gateway), eventsIn(t, file)
	return d
}

// auditAgrees compares the audit file with what was done.
func (d *day) auditAgrees(t *testing.T) {
	t.Helper()
	if ins, outs, wrong := len(d.told.of("logged_in", "")), len(d.told.of("left", "")), len(d.told.of("login_tried", "")); ins != d.logins || outs != d.logins-1 || wrong == 0 {
		t.Errorf("%d logins, %d of which are over, %d failed, want %d", ins, outs, wrong, d.logins)
	}
	forwards := d.told.of("forward_ended", "")
	if len(forwards) != d.doors || forwards.up() != uint64(5*d.doors) || forwards.down() != uint64(5*d.doors) {
		t.Errorf("forwards: %+v", forwards)
	}
	var plain events
	exits := map[uint64]int{}
	for _, e := range d.told.of("session_ended", "") {
		began := d.session(e)
		if began.Kind == "exec" && !began.Pty && e.Exit != nil {
			plain = append(plain, e)
			exits[*e.Exit]++
		}
	}
	if plain.up() != d.sent || plain.down() != d.received || exits[3] != d.doors || exits[0] != d.doors {
		t.Errorf("commands: %d bytes up and %d down, exits %v; want %d and %d", plain.up(), plain.down(), exits, d.sent, d.received)
	}
	uploads := 0
	for _, e := range d.told.of("file", "") {
		if e.Action == "upload" && e.Bytes == uint64(len("text\n")) {
			uploads++
		}
	}
	if uploads != d.doors {
		t.Errorf("%d uploads of 5 bytes", uploads)
	}
}

// session is the one that this event is the end of.
func (d *day) session(end event) event {
	for _, e := range d.told.of("session", "") {
		if e.Conn == end.Conn && e.Session == end.Session {
			return e
		}
	}
	return event{}
}

// metricsAgree compares the metrics with the audit file, and with who is still there.
func (d *day) metricsAgree(t *testing.T) {
	t.Helper()
	have := numbers(t, d.socket)
	left := d.told.of("left", "")
	for name, want := range map[string]uint64{
		`berth_connections`: 1,
		`berth_sessions`:    1,
		`berth_forwards`:    0,
		`berth_logins_total{method="publickey",outcome="ok"}`:     uint64(len(d.told.of("logged_in", ""))),
		`berth_logins_total{method="publickey",outcome="failed"}`: uint64(len(d.told.of("login_tried", ""))),
		`berth_key_exchange_seconds_count`:                        uint64(d.logins),
		`berth_reach_seconds_count{route="local"}`:                6,
		`berth_reach_seconds_count{route="sshd"}`:                 7,
		`berth_sessions_total{kind="exec"}`:                       uint64(len(d.told.of("session", "exec"))),
		`berth_sessions_total{kind="subsystem"}`:                  uint64(len(d.told.of("session", "subsystem"))),
		`berth_forwards_total`:                                    uint64(len(d.told.of("forward", ""))),
		`berth_hosts{route="local",state="up"}`:                   1,
		`berth_bytes_total{direction="up"}`:                       left.up() + d.live.Up,
		`berth_bytes_total{direction="down"}`:                     left.down() + d.live.Down,
	} {
		if have[name] != want {
			t.Errorf("%s is %d, want %d", name, have[name], want)
		}
	}
}

// recordingsAgree compares the recordings with the sessions at terminals: as many, and
// each as long as what went to its terminal.
func (d *day) recordingsAgree(t *testing.T) {
	t.Helper()
	var shown []string
	for _, word := range strings.Fields(must(t, d.machine.Gateway, "replay")) {
		if strings.HasSuffix(word, ".cast.gz") {
			shown = append(shown, must(t, d.machine.Gateway, "replay", "--speed", "100", word))
		}
	}
	var lengths []uint64
	for _, e := range d.told.of("session_ended", "") {
		if d.session(e).Pty {
			lengths = append(lengths, e.Down)
		}
	}
	const warning = "berth: what this terminal shows is recorded\r\n"
	want := []string{warning + "shown at relay\r\n", warning + "shown at local\r\n"}
	if !slices.Equal(shown, want) || len(lengths) != len(want) {
		t.Fatalf("%d sessions at a terminal; recordings: %q", len(lengths), shown)
	}
	for i, text := range shown {
		if uint64(len(text)) != lengths[i] {
			t.Errorf("a recording of %d bytes, and %d went to the terminal", len(text), lengths[i])
		}
	}
}

// sessionsAgree compares who is on with the audit file: the one who has not left, whose
// bytes are at least those of the line in which that is told.
func (d *day) sessionsAgree(t *testing.T) {
	t.Helper()
	gone := map[string]bool{}
	for _, e := range d.told.of("left", "") {
		gone[e.Conn] = true
	}
	for _, e := range d.told.of("logged_in", "") {
		if !gone[e.Conn] && e.Conn != d.live.ID {
			t.Errorf("connection %s has not left, and is not on", e.Conn)
		}
	}
	for _, e := range d.told.of("left", "") {
		var inside events
		for _, part := range append(d.told.of("session_ended", ""), d.told.of("forward_ended", "")...) {
			if part.Conn == e.Conn {
				inside = append(inside, part)
			}
		}
		if inside.up() > e.Up || inside.down() > e.Down {
			t.Errorf("connection %s: %d and %d bytes in it, %d and %d in all", e.Conn, inside.up(), inside.down(), e.Up, e.Down)
		}
	}
	d.stays.WantLine(t, "still here")
}
