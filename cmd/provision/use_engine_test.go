package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/moby/moby/client"
)

// job starts a process in the service's container as docker exec -d does, or on a
// terminal, whose output it returns when it ends.
func (l lab) job(service string, terminal bool, command ...string) func() string {
	l.Helper()
	created, err := l.API.ExecCreate(l.Context(), l.Inspect(service).ID, client.ExecCreateOptions{Cmd: command, TTY: terminal, AttachStdin: terminal, AttachStdout: terminal})
	if err != nil {
		l.Fatal(err)
	}
	if !terminal {
		if _, err := l.API.ExecStart(l.Context(), created.ID, client.ExecStartOptions{Detach: true}); err != nil {
			l.Fatal(err)
		}
		return nil
	}
	attached, err := l.API.ExecAttach(l.Context(), created.ID, client.ExecAttachOptions{TTY: true})
	if err != nil {
		l.Fatal(err)
	}
	return func() string {
		defer attached.Close()
		out, _ := io.ReadAll(attached.Reader)
		return string(out)
	}
}

func TestWorkThatRunsOnIsUse(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	file := func(a string) string {
		return l.File("services:\n  own: {image: " + os.Getenv("BERTH_BASE_IMAGE") + ", command: sleep 1000, stop_grace_period: 0s, environment: {A: " + a + "}}\n" +
			"  host: {environment: {A: " + a + "}, stop_grace_period: 0s, x-berth: {route: sshd}}\n")
	}
	l.mustRun("up", "-f", file("one"))
	if out, err := l.run("up", "-f", file("two")); err == nil || strings.Contains(out, "kept as it is") {
		t.Fatalf("nobody is on them: %v\n%s", err, out)
	}
	l.SSH("host", "developer", "nohup sleep 1234 >/dev/null 2>&1 &")
	l.job("own", false, "sleep", "4321")
	out := l.mustRun("plan", "-f", file("two"))
	for _, want := range []string{"left by a session; --force", "by docker exec; --force"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, verb := range []string{"stop", "restart", "down"} {
		first := l.Inspect("own")
		out, err := l.run(verb, l.Host("own"), l.Host("host"))
		if err == nil || !strings.Contains(err.Error(), "--yes") || !strings.Contains(out, l.Host("own")+": sleep (process") || !strings.Contains(out, l.Host("host")+": sleep (process") {
			t.Errorf("%s: %v\n%s", verb, err, out)
		}
		if c := l.Inspect("own"); c.State.Pid != first.State.Pid {
			t.Fatalf("%s asked, and did it", verb)
		}
	}
	if out, err := l.run("down"); err == nil || !strings.Contains(out, "in use: "+l.Host("own")+": sleep") {
		t.Errorf("down: %v\n%s", err, out)
	}
	said := l.job("own", true, "cat")
	l.mustRun("stop", "--yes", l.Host("own"))
	if got := said(); !strings.Contains(got, l.Host("own")+" is stopped now, by provision") {
		t.Errorf("on the terminal: %q", got)
	}
}
