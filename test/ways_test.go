package test

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// nobody is an ordinary user who may talk to the engine, as a gateway may run.
const nobody = "nobody"

// TestWays enters containers from every place where a gateway may stand: what
// happens in there is handed out as descriptors where they can cross, and is
// the same where they cannot.
func TestWays(t *testing.T) {
	image := startContainer(t).image(t)
	at := func(mounted bool, by runner) place {
		return place{by: by, mounted: mounted, image: image, account: "developer"}
	}
	t.Run("root_and_a_mount", func(t *testing.T) { way{place: at(true, asRoot(t)), crosses: true}.try(t) })
	t.Run("root_and_no_mount", func(t *testing.T) { way{place: at(false, asRoot(t)), crosses: true}.try(t) })
	t.Run("ordinary_user_and_a_mount", func(t *testing.T) { way{place: at(true, asNobody(t)), crosses: true}.try(t) })
	t.Run("ordinary_user_and_no_mount", func(t *testing.T) { way{place: at(false, asNobody(t))}.try(t) })
	t.Run("container_and_a_mount", func(t *testing.T) {
		way{place: at(true, inContainer(t, image)), crosses: true, contained: true}.try(t)
	})
	t.Run("container_and_no_mount", func(t *testing.T) { way{place: at(false, inContainer(t, image)), contained: true}.try(t) })
	t.Run("engine_behind_tls", func(t *testing.T) {
		proxy, certificates := startTLSEngine(t)
		behind := at(false, withEnv("DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH="+certificates))
		behind.docker = proxy.address
		way{place: behind, whole: true}.try(t)
	})
	t.Run("engine_behind_ssh", func(t *testing.T) {
		behind := at(false, withEnv("PATH="+startMachine(t).sshd.clients+":"+os.Getenv("PATH")))
		behind.docker = "ssh://h"
		way{place: behind}.try(t)
	})
}

// way is where a gateway stands, and what comes of that.
type way struct {
	place
	crosses   bool // descriptors do
	whole     bool // all of the suite is tried
	contained bool // the gateway is in a container itself
}

func (w way) try(t *testing.T) {
	l := startLab(t, w.place)
	if w.whole {
		suite(t, []target{l.door})
		l.passesSelftest(t, w)
	} else {
		l.door.essentials(t)
	}
	by := "by=streams"
	if w.crosses {
		by = "by=descriptors"
	}
	if log := l.log(t); !strings.Contains(log, by) {
		t.Errorf("the log does not say %s", by)
	}
	if !w.contained {
		l.diesWithItsSessions(t, l.door, func() []int { return helpersIn(t, l.container) })
	}
}

// passesSelftest runs the selftest from where the gateway runs.
func (l lab) passesSelftest(t *testing.T, w way) {
	t.Helper()
	command := w.by(program("gateway"), "selftest", "--quick", "--config", filepath.Join(l.dir, "gateway.yaml"), l.host)
	if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), " 0 failed") {
		t.Errorf("selftest: %v\n%s", err, out)
	}
}

// image is the one that the container was made of.
func (c container) image(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(must(t, exec.Command("docker", "inspect", "-f", "{{.Image}}", c.name)))
}

// essentials are a small part of the suite.
func (to target) essentials(t *testing.T) {
	to.want(t, `ssh h 'echo o; echo e >&2; exit 7' 2>err; echo $? $(cat err)`, "o\n7 e\n")
	to.want(t, `head -c 20M /dev/urandom >up; ssh h cat <up | cmp - up && echo same`, "same\n")
	to.want(t, `ssh -tt h 'stty size; exit 4' </dev/null; echo $?`, "0 0\r\n4\n")
	to.want(t, `ssh h 'echo ${SSH_CONNECTION%% *}'`, "127.0.0.1\n")
	to.knowsTheUser(t)
	to.want(t, makeTree+`scp -qr tree h:$far/ && scp -qr h:$far/tree back && diff -r tree back && echo same`, "same\n")
	address := freeAddress(t)
	to.forward(t, "-L", address+":127.0.0.1:"+to.startEcho(t, ""))
	await(t, "the forward", func() bool { return answers(address) })
	wantEcho(t, "tcp", address)
	port := freePort(t)
	to.forward(t, "-R", port+":127.0.0.1:"+startLocalEcho(t))
	to.shout(t, port, "hello")
	m := mark()
	client := to.start(t, `exec ssh -tt h "sleep `+m+`"`)
	awaitMarked(t, m)
	client.kill()
	awaitNoneMarked(t, m)
}

func asRoot(t *testing.T) runner {
	t.Helper()
	needRoot(t)
	return plainHome
}

// asNobody runs a program as an ordinary user in the group of the engine's
// socket, who is the owner of what lies about its configuration.
func asNobody(t *testing.T) runner {
	t.Helper()
	need(t, "setpriv")
	needRoot(t)
	group, err := user.LookupGroup("docker")
	if err != nil {
		missing(t, err.Error())
	}
	return func(program string, args ...string) *exec.Cmd {
		own, program := copyToConfig(t, program, args)
		must(t, exec.Command("chown", "-R", nobody, own))
		args = append([]string{"--reuid", nobody, "--regid", group.Gid, "--clear-groups", program}, args...)
		return exec.Command("setpriv", args...)
	}
}

// inContainer runs a program in a container that has the engine's socket and
// the directory of its configuration, at the same place; what it leaves there
// is root's.
func inContainer(t *testing.T, image string) runner {
	t.Helper()
	needRoot(t)
	socket := engineSocket(t)
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
	must(t, exec.Command("cp", "-p", program, file))
	return dir, file
}
