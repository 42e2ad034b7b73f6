package harness

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Way is a way to run commands in a host; it may be slow.
type Way struct {
	Target
	Name string
	Run  string // a line of bash that runs the command $1 in the host

	MayLose bool // for comparison with other programs: lost data is logged and fails no test
}

// BySSH returns the way by the target's ssh.
func (to Target) BySSH() Way { return Way{Target: to, Name: "ssh", Run: `ssh h "$1"`} }

// Took runs a script, in which run runs a command by this way, and logs how long it
// takes. The script must print exactly this.
func (w Way) Took(t *testing.T, what, script, want string, env ...string) {
	t.Helper()
	began := time.Now()
	got := w.Target.Run(t, "run() { "+w.Run+"; }\nexport -f run\n"+script, env...)
	t.Logf("%s by %s: %.1f s", what, w.Name, time.Since(began).Seconds())
	if w.MayLose && got.Stdout != want {
		t.Logf("%s loses: %s", w.Name, Brief(got.Stdout))
		return
	}
	Check(t, script, got, Result{Stdout: want})
}

// SendMuch sends this many MiB there and back, and compares.
func (w Way) SendMuch(t *testing.T, size int) {
	t.Helper()
	env := fmt.Sprintf("SIZE=%dM", size)
	w.Took(t, fmt.Sprint(size, " MiB up"), `head -c $SIZE /dev/urandom >f; [ "$(sha256sum <f)" = "$(run sha256sum <f)" ] && echo same`, "same\n", env)
	w.Took(t, fmt.Sprint(size, " MiB down"), `run "head -c $SIZE /dev/urandom | tee /tmp/f" >f </dev/null
[ "$(sha256sum <f)" = "$(run 'sha256sum </tmp/f; rm /tmp/f')" ] && echo same`, "same\n", env)
}

// RunMany runs this many commands, four at a time. Each must print its number and end
// with it.
func (w Way) RunMany(t *testing.T, commands int) {
	t.Helper()
	w.Took(t, fmt.Sprint(commands, " commands, 4 at a time"), `one() { got=$(run "echo $1; exit $(($1 % 200))"); code=$?; [ "$got" = $1 ] && [ $code = $(($1 % 200)) ] || echo "$1: $got, $code"; }
export -f one
seq $COMMANDS | xargs -P 4 -I % bash -c 'one %'`, "", fmt.Sprintf("COMMANDS=%d", commands))
}

// Durations has the times of several runs.
type Durations []time.Duration

func (d Durations) String() string {
	sorted := slices.Sorted(slices.Values(d))
	return fmt.Sprintf("%d, median %v, at most %v", len(d), sorted[len(d)/2], sorted[len(d)-1])
}

// Logins logs in several times, one after the other.
func (to Target) Logins(t *testing.T) Durations {
	t.Helper()
	var took Durations
	for range 15 {
		began := time.Now()
		if got := to.Run(t, `ssh h true`); got.Exit != 0 {
			t.Fatalf("a login to %s: exit %d, %s", to.Name, got.Exit, got.Stderr)
		}
		took = append(took, time.Since(began).Round(time.Millisecond))
	}
	return took
}
