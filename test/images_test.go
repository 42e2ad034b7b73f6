package test

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// imageCase is a container of a kind that people have, and what it must be as
// a host (docs/exec.md).
type imageCase struct {
	name    string
	image   string   // tiny, bare, or nothing for the base image
	run     []string // arguments of docker run
	mounted bool     // the gateway's helper directory is there
	account string
	script  string // a bash script, in which ssh h enters the container
	want    result
}

func imageCases() []imageCase {
	return []imageCase{
		{name: "glibc", account: "root", script: `ssh h 'ldd --version | grep -o GLIBC'`, want: result{stdout: "GLIBC\n"}},
		{name: "musl", image: "tiny", account: "dev", script: `ssh h 'hello; echo $0'`, want: result{stdout: "by musl\nsh\n"}},
		{name: "musl, files", image: "tiny", account: "dev", script: copyFile, want: result{stdout: "same\n"}},

		{name: "no shell", image: "bare", mounted: true, account: "dev", script: `ssh h true`,
			want: result{stderr: "there is no /bin/sh here to run commands with\n", exit: 255}},
		{name: "no shell, files", image: "bare", mounted: true, account: "dev", script: copyFile, want: result{stdout: "same\n"}},
		{name: "no shell, forwards", image: "bare", mounted: true, account: "dev", script: forwardBack, want: result{stdout: "THERE AND BACK\n"}},
		{name: "no shell and no mount", image: "bare", account: "dev", script: `ssh h true`,
			want: refused("cannot be entered as dev: its image has no sh to bring the helper in with; provision would mount it")},

		{name: "read-only", run: []string{"--read-only"}, mounted: true, account: "root", script: `ssh h 'touch /x 2>/dev/null; echo $?'`,
			want: result{stdout: "1\n"}},
		{name: "read-only, agent", run: []string{"--read-only"}, mounted: true, account: "root",
			script: withAgent + `ssh -A h 'test -S $SSH_AUTH_SOCK && echo socket'`, want: result{stdout: "socket\n"}},
		{name: "read-only, X11", run: []string{"--read-only"}, mounted: true, account: "root",
			script: `DISPLAY=:77 ssh -Y h 'echo $DISPLAY; stat -c %a $XAUTHORITY; [ -s $XAUTHORITY ] && echo filled'`,
			want:   result{stdout: "127.0.0.1:10.0\n600\nfilled\n"}},
		{name: "read-only and no mount", run: []string{"--read-only"}, account: "root", script: `ssh h true`,
			want: refused("cannot be entered as root: no directory to put an executable file in")},
		{name: "noexec tmp", run: []string{"--tmpfs", "/tmp:noexec"}, account: "4321", script: `ssh h 'id -u'`, want: result{stdout: "4321\n"}},
		{name: "disk full and no mount", run: []string{"--read-only", "--tmpfs", "/tmp:exec,size=2m"}, account: "root", script: `ssh h true`,
			want: refused("cannot be entered as root: cat: write error: No space left on device")},
		{name: "disk full", run: []string{"--read-only", "--tmpfs", "/tmp:size=64k"}, mounted: true, account: "root",
			script: `ssh h 'cat /dev/zero >/tmp/full' 2>/dev/null; ssh h 'echo in'`, want: result{stdout: "in\n"}},

		{name: "user of the image", run: []string{"--user", "1000:1000"}, image: "tiny", script: `ssh h 'id -u; echo $HOME $USER'`,
			want: result{stdout: "1000\n/home/dev dev\n"}},
		{name: "number for an account", account: "4321", script: `ssh h 'id -u; echo $HOME $USER $SHELL; pwd'`,
			want: result{stdout: "4321\n/ 4321 /bin/bash\n/\n"}},
		{name: "wrong HOME", run: []string{"--env", "HOME=/nonesuch"}, image: "tiny", account: "dev", script: `ssh h 'echo $HOME; pwd'`,
			want: result{stdout: "/home/dev\n/home/dev\n"}},
		{name: "account that is not there", account: "nonesuch", script: `ssh h true`,
			want: refused("cannot be entered as nonesuch: unable to find user nonesuch: no matching entries in passwd file")},
		{name: "environment of the image", run: []string{"--env", "CUDA_HOME=/usr/local/cuda", "--env", "LD_LIBRARY_PATH=/opt/lib"}, account: "root",
			script: `ssh h 'echo $CUDA_HOME $LD_LIBRARY_PATH'`, want: result{stdout: "/usr/local/cuda /opt/lib\n"}},

		{name: "passwords of other accounts", run: []string{"--env", "ROOT_PASSWORD=secret"}, mounted: true, account: "4321",
			script: `ssh h 'cat /proc/$PPID/environ; env' | grep -ac secret`, want: result{stdout: "0\n", exit: 1}},

		{name: "provision's variables", run: []string{"--env", "BERTH_USER_CA=x", "--env", "BERTH_USER=x"}, mounted: true, account: "root",
			script: `ssh h 'env | grep ^BERTH_; grep -zc ^BERTH_ /proc/$PPID/environ'`, want: result{stdout: "BERTH_USER=dev\n0\n", exit: 1}},

		{name: "no scp", image: "tiny", account: "dev",
			script: `head -c 300000 /dev/urandom >up && scp -q up h:/tmp/berth-scp && scp -q h:/tmp/berth-scp down && cmp up down && echo same`,
			want:   result{stdout: "same\n"}},
		{name: "no scp, old protocol", image: "tiny", account: "dev", script: `echo >up && scp -q -O up h:/tmp/berth-scp`,
			want: result{stderr: "sh: scp: not found\nlost connection\n", exit: 1}},

		{name: "network none", run: []string{"--network", "none"}, mounted: true, account: "root", script: forwardBack, want: result{stdout: "THERE AND BACK\n"}},
		{name: "network host", run: []string{"--network", "host"}, mounted: true, account: "root", script: forwardBack, want: result{stdout: "THERE AND BACK\n"}},

		{name: "paused", account: "root", script: `docker pause $CONTAINER >/dev/null; ssh h true; s=$?; docker unpause $CONTAINER >/dev/null; exit $s`,
			want: refused("is paused: docker unpause CONTAINER")},
	}
}

// copyFile wants a file to go up and down by sftp.
const copyFile = `
	head -c 300000 /dev/urandom >up
	printf '%s\n' 'put up /tmp/berth-up' 'get /tmp/berth-up down' 'rm /tmp/berth-up' | sftp -q -b - h >/dev/null && cmp up down && echo same`

// forwardBack goes to the container's 127.0.0.1 and from there back here.
const forwardBack = `
	port=$(shuf -i 20000-30000 -n 1)
	ssh -N -R $port:127.0.0.1:$ECHO -o ExitOnForwardFailure=yes h >/dev/null 2>&1 & trap "kill $!" EXIT
	for _ in {1..50}; do echo there and back | ssh -W 127.0.0.1:$port h 2>/dev/null && break; sleep 0.1; done`

// withAgent starts an agent, which ends with the script.
const withAgent = `
	eval "$(ssh-agent)" >/dev/null; trap 'kill $SSH_AGENT_PID' EXIT
`

// refused is how a host that cannot be entered answers.
func refused(why string) result {
	return result{stderr: fmt.Sprintf("berth: host %q %s\n", "HOST", why), exit: 255}
}

// TestImages enters containers of every kind that people bring.
func TestImages(t *testing.T) {
	t.Parallel()
	need(t, "ssh", "sftp", "docker", "gcc", "python3")
	base := baseImage(t)
	ground := imagesGround{dir: t.TempDir(), images: map[string]string{"": base, "tiny": tinyImage(t), "bare": bareImage(t)}}
	ground.key = makeKey(t, ground.dir, "id")
	ground.gateway = startGateway(t, ground.dir, ground.config(t))
	ground.echo = startLocalEcho(t)
	for i, c := range imageCases() {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			ground.try(t, i, c)
		})
	}
	t.Run("restarting", ground.restarting)
	t.Run("no_init", ground.noInit)
	t.Run("few_processes_allowed", ground.fewProcesses)
	t.Run("another_architecture", anotherArchitecture)
}

type imagesGround struct {
	dir     string
	images  map[string]string
	key     string
	gateway *gateway
	echo    string // port of an echo server here
}

func (g imagesGround) config(t *testing.T) string {
	t.Helper()
	config := fmt.Sprintf("users:\n  dev:\n    keys: [ %s ]\n    hosts:\n", publicKey(t, g.key))
	for i, c := range imageCases() {
		config += fmt.Sprintf("      %s: %q\n", caseHost(fmt.Sprint(i)), c.account)
	}
	for _, name := range []string{"restarting", "no-init", "few-processes"} {
		config += fmt.Sprintf("      %s: root\n", caseHost(name))
	}
	return strings.ReplaceAll(config, `: ""`, ":")
}

// start starts a container that is a host.
func (g imagesGround) start(t *testing.T, host, image string, mounted bool, args ...string) (name string, to target) {
	t.Helper()
	args = append([]string{"--label", "berth.host=" + host}, args...)
	if mounted {
		args = append(args, "-v", mountOf(g.dir))
	}
	args = append(args, g.images[image])
	if image == "" {
		args = append(args, "sleep", "infinity")
	}
	name = runContainer(t, args...)
	await(t, "the host", func() bool {
		return strings.TrimSpace(must(t, exec.Command("docker", "inspect", "-f", "{{.State.Running}}", name))) == "true"
	})
	return name, g.gateway.target(t, host, "dev+"+host, g.key)
}

func (g imagesGround) try(t *testing.T, i int, c imageCase) {
	host := caseHost(fmt.Sprint(i))
	name, to := g.start(t, host, c.image, c.mounted, c.run...)
	var got result
	await(t, "the engine to tell the gateway of the container", func() bool {
		got = to.run(t, c.script, "CONTAINER="+name, "ECHO="+g.echo)
		return !strings.Contains(got.stderr, "no container carries its label")
	})
	got.stderr = strings.NewReplacer(host, "HOST", name, "CONTAINER").Replace(got.stderr)
	check(t, c.script, got, c.want)
}

// restarting never runs for long enough to be entered.
func (g imagesGround) restarting(t *testing.T) {
	t.Parallel()
	host := caseHost("restarting")
	name := runContainer(t, "--label", "berth.host="+host, "--restart", "always", g.images[""], "sh", "-c", "sleep 0.2; exit 1")
	to := g.gateway.target(t, host, "dev+"+host, g.key)
	got := to.run(t, "ssh h 'sleep 60'")
	if got.exit != 255 || !strings.HasPrefix(got.stderr, "berth: host ") || !strings.Contains(got.stderr, "docker logs "+name) && !strings.Contains(got.stderr, "gone away") {
		t.Errorf("exit %d, stderr %s: want a line that says why", got.exit, brief(got.stderr))
	}
}

// noInit wants no zombies where the first process reaps none: the helper is
// the parent of what sessions leave running, as long as it runs.
func (g imagesGround) noInit(t *testing.T) {
	t.Parallel()
	needRoot(t) // or it could not end a process of the container's root
	name, to := g.start(t, caseHost("no-init"), "", true)
	m := mark()
	to.want(t, `ssh h 'for i in 1 2 3 4 5; do setsid -f sh -c "sleep 0.5" </dev/null >/dev/null 2>&1; done'`, "")
	to.want(t, `ssh h "setsid -f sleep `+m+` </dev/null >/dev/null 2>&1"`, "")
	await(t, "what sessions left to end", func() bool { return !strings.Contains(processesIn(t, name), "sleep 0.5") })
	await(t, "the zombies to go", func() bool { return !strings.Contains(processesIn(t, name), "<defunct>") })
	wantMarked(t, m) // ends it
	await(t, "it to be reaped", func() bool { return !strings.Contains(processesIn(t, name), "<defunct>") })
	if len(helpersIn(t, name)) != 1 {
		t.Errorf("want one helper, alone with the first process:\n%s", processesIn(t, name))
	}
}

// fewProcesses lets a container have more and more processes, until one more
// session fits. Whatever is too few must be told in a line.
func (g imagesGround) fewProcesses(t *testing.T) {
	t.Parallel()
	host := caseHost("few-processes")
	name, to := g.start(t, host, "", true)
	for limit := 2; ; limit += 2 {
		must(t, exec.Command("docker", "update", "--pids-limit", fmt.Sprint(limit), name))
		got := to.run(t, "ssh h 'echo in'")
		if got == (result{stdout: "in\n"}) {
			t.Logf("a session fits into %d processes", limit)
			return
		}
		if got.exit == 0 || strings.Count(got.stderr, "\n") != 1 || strings.Contains(got.stderr, "goroutine") || limit > 100 {
			t.Fatalf("with %d processes: exit %d, stderr %s: want a line that says why", limit, got.exit, brief(got.stderr))
		}
		if limit == 2 {
			t.Logf("with %d processes: %s", limit, got.stderr)
		}
	}
}

// anotherArchitecture stands for a container on an engine whose processor is
// another than the gateway's: the helper there is a program for 64-bit ARM.
func anotherArchitecture(t *testing.T) {
	t.Parallel()
	l := startLab(t, place{mounted: true})
	header := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00\xb7\x00" + strings.Repeat("\x00", 44)
	write(t, helperFile(t, l.dir), 0o755, header)
	check(t, "ssh h true", l.door.run(t, "ssh h true"), result{
		stderr: fmt.Sprintf("berth: host %q cannot be entered as root: its image is for another processor architecture than the gateway's\n", l.host),
		exit:   255,
	})
}

// tinyImage has busybox and musl, and an account.
func tinyImage(t *testing.T) string {
	t.Helper()
	need(t, "musl-gcc")
	if !isStatic("/bin/busybox") {
		missing(t, "there is no static /bin/busybox (package busybox-static)")
	}
	return importImage(t, "tiny", `
		mkdir -p bin lib home/dev tmp proc dev sys
		cp /bin/busybox bin/ && for tool in sh sleep cat id ls mkdir mktemp chmod rm wc echo env touch; do ln -s busybox bin/$tool; done
		cp /lib/ld-musl-*.so.1 lib/
		echo '#include <stdio.h>
			int main(void) { puts("by musl"); }' | musl-gcc -x c - -o bin/hello`, "sleep", "1000000")
}

// isStatic says whether a program is one, and needs no loader.
func isStatic(path string) bool {
	file, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	return !slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}

// bareImage has one program and an account, as images without a distribution.
func bareImage(t *testing.T) string {
	return importImage(t, "bare", `
		mkdir -p home/dev tmp proc dev sys
		echo '#include <unistd.h>
			int main(void) { for (;;) pause(); }' | gcc -static -x c - -o pause`, "/pause")
}

// importImage makes an image of the files that a script makes.
func importImage(t *testing.T, name, script string, command ...string) string {
	t.Helper()
	tag := fmt.Sprintf("berth-test/%s:%s", name, mark())
	t.Cleanup(func() { exec.Command("docker", "rmi", "-f", tag).Run() })
	words, err := json.Marshal(command)
	if err != nil {
		t.Fatal(err)
	}
	make := exec.Command("bash", "-euo", "pipefail", "-c", script+`
		mkdir etc && printf 'root:x:0:0::/root:/bin/sh\ndev:x:1000:1000::/home/dev:/bin/sh\n' >etc/passwd
		printf 'root:x:0:\ndev:x:1000:\n' >etc/group
		chmod 1777 tmp
		tar -cf $TAR --owner 0 --group 0 --exclude ./home/dev . && tar -rf $TAR --owner 1000 --group 1000 ./home/dev
		docker import --change "CMD $COMMAND" $TAR $TAG`)
	make.Dir = t.TempDir()
	make.Env = append(os.Environ(), "TAG="+tag, "TAR="+filepath.Join(t.TempDir(), "image.tar"), "COMMAND="+string(words))
	must(t, make)
	return tag
}
