package box

import (
	"slices"
	"testing"
)

// What a person left running is work, as a session is; what the image runs is none.
func TestWhatSessionsLeaveIsSeen(t *testing.T) {
	procs := ProcsIn(t.TempDir())
	processes := []Process{
		{100, 1, "/sbin/docker-init -- berth-host"},
		{101, 100, "sshd: /usr/sbin/sshd -D"},
		{102, 100, "cron"},
		{103, 100, "python train.py"},
		{104, 103, "python worker"},
		{105, 100, "tmux new -d"},
		{106, 9, "sleep 1000"},
		{107, 106, "sleep 1"},
		{108, 9, "/bin/sh -c test -s /run/sshd.pid"},
		{109, 9, "/usr/lib/berth/helper-1 helper run"},
		{110, 9, "[sh] <defunct>"},
		{111, 9, "[sh]"}, // an end that ps met half-way
	}
	environ := map[int]string{103: "BERTH_USER=anna\x00", 104: "BERTH_USER=anna\x00", 105: "A=b\x00SSH_CONNECTION=1 2 3 4\x00", 102: "NO_SSH_CONNECTION=1\x00"}
	for _, p := range processes {
		procs.put(t, p.PID, map[string]string{"environ": environ[p.PID]})
	}
	probe := []string{"CMD-SHELL", "test -s /run/sshd.pid"}
	want := []string{
		"anna (python (process 103), left by a session)",
		"tmux (process 105), left by a session",
		"sleep (process 106), by docker exec",
	}
	if got := procs.Left(processes, 100, probe); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	elsewhere := Procs{} // cron looks like work there
	if got := elsewhere.Left(processes, 100, probe); len(got) != 4 {
		t.Errorf("elsewhere: %q", got)
	}
}
