package images

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/berth-ssh/berth/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// TestImages enters a container of each kind. In its scripts,
//
//	host [-image tiny|bare] [-account NAME] [-mounted] DOCKER-RUN-ARGUMENTS...
//
// makes one that is host h, of the base image if no other is named; -mounted
// gives it the gateway's helper directory. It is $CONTAINER at the engine and
// $HOST at the gateway.
func TestImages(t *testing.T) {
	harness.Need(t, "ssh", "sftp", "docker", "gcc", "python3")
	images := map[string]string{"": harness.BaseImage(t), "tiny": harness.TinyImage(t), "bare": harness.BareImage(t)}
	echo := "ECHO=" + harness.StartLocalEcho(t)
	harness.EachScript(t, "testdata/*.txtar", func(t *testing.T, file string) {
		harness.RunScript(t, file, []string{echo}, map[string]harness.ScriptCommand{
			"host": func(ts *testscript.TestScript, _ bool, args []string) { enter(t, ts, images, args) },
		})
	})
}

// enter makes the container that a script asks for, and its host h.
func enter(t *testing.T, ts *testscript.TestScript, images map[string]string, args []string) {
	p := harness.Place{Image: images[""], Account: harness.ImageUser}
	for ; len(args) > 0 && !strings.HasPrefix(args[0], "--"); args = args[1:] {
		switch args[0] {
		case "-mounted":
			p.Mounted = true
			continue
		case "-account":
			p.Account = args[1]
		case "-image":
			p.Image, p.Command = images[args[1]], []string{}
		default:
			ts.Fatalf("host: what is %s?", args[0])
		}
		args = args[1:]
	}
	p.Args = args
	l := harness.StartLab(t, p)
	ts.Setenv("HOST", l.Host)
	ts.Setenv("CONTAINER", l.Container)
	l.Door.Use(ts)
	known(t, l, "ssh h true")
}

// known is what a command on the host gives, once the gateway knows of the container.
func known(t *testing.T, l harness.Lab, command string) (got harness.Result) {
	t.Helper()
	harness.Eventually(t, "the gateway knows of the container", func() bool {
		got = l.Door.Run(t, command)
		return !strings.Contains(got.Stderr, "no container carries its label")
	})
	return got
}

// A container that never runs for long enough to be entered says why.
func TestRestarting(t *testing.T) {
	t.Parallel()
	l := harness.StartLab(t, harness.Place{Args: []string{"--restart", "always"}, Command: []string{"sh", "-c", "sleep 0.2; exit 1"}})
	got := known(t, l, "ssh h 'sleep 60'")
	if got.Exit != 255 || !strings.HasPrefix(got.Stderr, "berth: host ") || !strings.Contains(got.Stderr, "docker logs "+l.Container) && !strings.Contains(got.Stderr, "gone away") {
		t.Errorf("exit %d, stderr %s: want a line that says why", got.Exit, harness.Brief(got.Stderr))
	}
}

// There are no zombies where the first process reaps none: the helper is
// the parent of what sessions leave running, as long as it runs.
func TestNoInit(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t) // or it could not end a process of the container's root
	l := harness.StartLab(t, harness.Place{Mounted: true})
	name, to := l.Container, l.Door
	m := harness.Mark()
	to.Want(t, `ssh h 'for i in 1 2 3 4 5; do setsid -f sh -c "sleep 0.5" </dev/null >/dev/null 2>&1; done'`, "")
	to.Want(t, `ssh h "setsid -f sleep `+m+` </dev/null >/dev/null 2>&1"`, "")
	harness.Eventually(t, "what sessions left to end", func() bool { return !strings.Contains(harness.ProcessesIn(t, name), "sleep 0.5") })
	harness.Eventually(t, "the zombies to go", func() bool { return !strings.Contains(harness.ProcessesIn(t, name), "<defunct>") })
	harness.WantMarked(t, m) // ends it
	harness.Eventually(t, "it to be reaped", func() bool { return !strings.Contains(harness.ProcessesIn(t, name), "<defunct>") })
	if len(harness.HelpersIn(t, name)) != 1 {
		t.Errorf("want one helper, alone with the first process:\n%s", harness.ProcessesIn(t, name))
	}
}

// A container is let have more and more processes, until one more
// session fits. Whatever is too few must be told in a line.
func TestFewProcesses(t *testing.T) {
	t.Parallel()
	l := harness.StartLab(t, harness.Place{Mounted: true})
	name, to := l.Container, l.Door
	for limit := 2; ; limit += 2 {
		harness.Must(t, exec.Command("docker", "update", "--pids-limit", fmt.Sprint(limit), name))
		got := to.Run(t, "ssh h 'echo in'")
		if got == (harness.Result{Stdout: "in\n"}) {
			t.Logf("a session fits into %d processes", limit)
			return
		}
		if got.Exit == 0 || strings.Count(got.Stderr, "\n") != 1 || strings.Contains(got.Stderr, "goroutine") || limit > 100 {
			t.Fatalf("with %d processes: exit %d, stderr %s: want a line that says why", limit, got.Exit, harness.Brief(got.Stderr))
		}
		if limit == 2 {
			t.Logf("with %d processes: %s", limit, got.Stderr)
		}
	}
}

// This stands for a container on an engine whose processor is
// another than the gateway's: the helper there is a program for 64-bit ARM.
func TestAnotherArchitecture(t *testing.T) {
	t.Parallel()
	l := harness.StartLab(t, harness.Place{Mounted: true})
	header := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00\xb7\x00" + strings.Repeat("\x00", 44)
	harness.Write(t, harness.HelperFile(t, l.Dir), 0o755, header)
	harness.Check(t, "ssh h true", l.Door.Run(t, "ssh h true"), harness.Result{
		Stderr: fmt.Sprintf("berth: host %q cannot be entered as root: its image is for another processor architecture than the gateway's\n", l.Host),
		Exit:   255,
	})
}
