package placement

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// nobody is an ordinary user who may talk to the engine, as a gateway may run.
const nobody = "nobody"

// TestPlaces enters containers from every place where a gateway may stand: what
// happens in there is handed out as descriptors where they can cross, and is
// the same where they cannot.
func TestPlaces(t *testing.T) {
	c := harness.StartContainer(t)
	image := c.Image(t)
	at := func(mounted bool, by harness.Runner) harness.Place {
		return harness.Place{By: by, Mounted: mounted, Image: image, Account: "developer"}
	}
	t.Run("root_and_a_mount", func(t *testing.T) { standing{Place: at(true, asRoot(t)), crosses: true}.try(t) })
	t.Run("root_and_no_mount", func(t *testing.T) { standing{Place: at(false, asRoot(t)), crosses: true}.try(t) })
	t.Run("ordinary_user_and_a_mount", func(t *testing.T) { standing{Place: at(true, asNobody(t)), crosses: true}.try(t) })
	t.Run("ordinary_user_and_no_mount", func(t *testing.T) { standing{Place: at(false, asNobody(t))}.try(t) })
	t.Run("container_and_a_mount", func(t *testing.T) {
		standing{Place: at(true, inContainer(t, image)), crosses: true, contained: true}.try(t)
	})
	t.Run("container_and_no_mount", func(t *testing.T) {
		standing{Place: at(false, inContainer(t, image)), contained: true}.try(t)
	})
	t.Run("engine_behind_tls", func(t *testing.T) { behindTLS(t, c) })
	t.Run("engine_behind_ssh", func(t *testing.T) {
		behind := at(false, harness.WithEnv("PATH="+harness.StartMachine(t).SSHD.Clients+":"+os.Getenv("PATH")))
		behind.Docker = "ssh://h"
		standing{Place: behind}.try(t)
	})
}

// standing is where a gateway stands, and what comes of that.
type standing struct {
	harness.Place
	crosses   bool // descriptors do
	contained bool // the gateway is in a container itself
}

func (s standing) try(t *testing.T) {
	l := harness.StartLab(t, s.Place)
	essentials(t, l.Door)
	by := "streams"
	if s.crosses {
		by = "descriptors"
	}
	wantEntered(t, l, by)
	if !s.contained {
		harness.DiesWithItsSessions(t, l.Gateway, l.Door, func() []int { return harness.HelpersIn(t, l.Container) })
	}
}

// behindTLS passes the selftest, too, from where the gateway runs. All else that
// other packages ask of every door they ask of this one, too.
func behindTLS(t *testing.T, c harness.Container) {
	l := harness.StartStreams(t, c)
	essentials(t, l.Door)
	wantEntered(t, l, "streams")
	command := l.By(harness.Program("gateway"), "selftest", "--quick", "--config", filepath.Join(l.Dir, "gateway.yaml"), l.Host)
	if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), " 0 failed") {
		t.Errorf("selftest: %v\n%s", err, out)
	}
}

// wantEntered wants the log to tell how the container is entered.
func wantEntered(t *testing.T, l harness.Lab, by string) {
	t.Helper()
	if !slices.ContainsFunc(l.Records(t), func(r harness.Record) bool { return r["by"] == by }) {
		t.Errorf("no record with by=%s", by)
	}
}

// essentials are a small part of what other packages ask of a door.
func essentials(t *testing.T, to harness.Target) {
	to.Script(t, "testdata/essentials.txtar")
	address := harness.FreeAddress(t)
	to.Forward(t, "-L", address+":127.0.0.1:"+to.StartEcho(t, ""))
	harness.Eventually(t, "the forward", func() bool { return harness.Answers(address) })
	harness.WantEcho(t, "tcp", address)
	port := harness.FreePort(t)
	to.Forward(t, "-R", port+":127.0.0.1:"+harness.StartLocalEcho(t))
	to.Shout(t, port, "hello")
	m := harness.Mark()
	client := to.Start(t, `exec ssh -tt h "sleep `+m+`"`)
	harness.AwaitMarked(t, m)
	client.Kill()
	harness.AwaitNoneMarked(t, m)
}

func asRoot(t *testing.T) harness.Runner {
	t.Helper()
	harness.NeedRoot(t)
	return harness.PlainHome
}

// asNobody runs a program as an ordinary user in the group of the engine's
// socket, who is the owner of what lies about its configuration.
func asNobody(t *testing.T) harness.Runner {
	t.Helper()
	harness.Need(t, "setpriv")
	harness.NeedRoot(t)
	group, err := user.LookupGroup("docker")
	if err != nil {
		harness.Missing(t, err.Error())
	}
	return func(program string, args ...string) *exec.Cmd {
		own, program := copyToConfig(t, program, args)
		harness.Must(t, exec.Command("chown", "-R", nobody, own))
		args = append([]string{"--reuid", nobody, "--regid", group.Gid, "--clear-groups", program}, args...)
		return exec.Command("setpriv", args...)
	}
}

// inContainer runs a program in a container that has the engine's socket and
// the directory of its configuration, at the same place; what it leaves there
// is root's.
func inContainer(t *testing.T, image string) harness.Runner {
	t.Helper()
	harness.NeedRoot(t)
	socket := harness.EngineSocket(t)
	return func(program string, args ...string) *exec.Cmd {
		own, program := copyToConfig(t, program, args)
		docker := []string{"run", "--rm", "--network", "host", "--entrypoint", program,
			"-v", socket + ":/var/run/docker.sock", "-v", own + ":" + own, image}
		return exec.Command("docker", append(docker, args...)...)
	}
}

// copyToConfig copies a program to where the configuration is that it is given.
func copyToConfig(t *testing.T, program string, args []string) (dir, file string) {
	t.Helper()
	dir = filepath.Dir(args[slices.Index(args, "--config")+1])
	file = filepath.Join(dir, filepath.Base(program))
	harness.Must(t, exec.Command("cp", "-p", program, file))
	return dir, file
}
