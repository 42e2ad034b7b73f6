package main

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/labels"
)

func TestVerbsForOneHostAndForAll(t *testing.T) {
	t.Parallel()
	b := newGPUBox(t, 2)
	b.Compose("lab", "one: , gpus: [{count: 1}]", "two: ")
	lab := func(args ...string) string { return b.mustRun(append(args, "-f", b.Dir+"/lab.yaml", "-p", "lab")...) }
	lab("up")
	states := func() string {
		list, err := b.API.ContainerList(t.Context(), client.ContainerListOptions{All: true})
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, c := range list.Items {
			all = append(all, c.Labels[labels.Service]+" "+string(c.State))
		}
		slices.Sort(all)
		return strings.Join(all, ", ")
	}
	for _, step := range []struct{ verb, want string }{
		{"stop one", "one exited, two running"},
		{"start", "one running, two running"},
		{"restart two", "one running, two running"},
		{"stop", "one exited, two exited"},
		{"start two", "one exited, two running"},
		{"down two", "one exited"},
	} {
		lab(strings.Fields(step.verb)...)
		if got := states(); got != step.want {
			t.Errorf("%s: %s, want %s", step.verb, got, step.want)
		}
	}
	if out := lab("gpus", "--json"); strings.Count(out, `"host": "one"`) != 1 {
		t.Errorf("a stopped host holds its GPU no more, or more than one:\n%s", out)
	}
	completion := b.program(t.Context())
	completion.Args = []string{"provision", "__complete", "-p", "lab", "stop", ""}
	if out, err := completion.Output(); err != nil || !strings.HasPrefix(string(out), "one\n") {
		t.Errorf("completion of hosts: %v\n%s", err, out)
	}
	if out, err := b.run("logs", "three", "-p", "lab"); err == nil || !strings.Contains(out, "there is no host three; there are one") {
		t.Errorf("a host that is not there: %v\n%s", err, out)
	}
	lab("logs", "one")
	lab("build")
	for command, want := range map[string]string{
		"exec":         "which host? berth-provision ps lists them; usage: berth-provision exec HOST [COMMAND…]",
		"logs one two": "one host at a time; usage: berth-provision logs HOST",
		"exec one id":  "one does not run: berth-provision start one",
		"start -p new": "nothing to do: the project has no hosts",
	} {
		args := strings.Fields(command)
		if !slices.Contains(args, "-p") {
			args = append([]string{"-p", "lab"}, args...)
		}
		if out, _ := b.run(args...); !strings.Contains(out, want) {
			t.Errorf("%s: got %s, want %s", command, out, want)
		}
	}
}

// Who may not write in the state directory is told of another one.
func TestAStateDirectoryThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	const forbidden = "/sys/berth" // to root, too
	if err := os.Mkdir(forbidden, 0o700); !errors.Is(err, fs.ErrPermission) {
		t.Skipf("%s: %v", forbidden, err)
	}
	l := newLab(t)
	l.State = forbidden
	_, err := l.run("plan", "-f", l.File("services: {own: {image: x}}"))
	if err == nil || !strings.HasSuffix(err.Error(), "; name one of your own with --state DIR, or be root") {
		t.Errorf("got %v", err)
	}
}
