package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/test/harness"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// own is the file of a project with one container that waits.
func (l lab) own(more string) string {
	l.Helper()
	return l.File("services: {own: {image: " + os.Getenv("BERTH_BASE_IMAGE") + ", command: sleep 1000, stop_grace_period: 0s" + more + "}}\n" +
		"volumes: {home: }\n")
}

func TestAChangeThatTheEngineRefusesCostsNothing(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	l := newLab(t)
	l.mustRun("up", "-f", l.own(""))
	l.In("own", "echo of weeks >/root/work")
	first := l.Inspect("own").ID
	for what, more := range map[string]string{
		"a runtime that is not there":      ", runtime: nvidia",
		"cpus that are not there":          `, cpuset: "0-63"`,
		"a logging driver that is unknown": ", logging: {driver: nosuch}",
		"a quota that the disk cannot":     ", storage_opt: {size: 20G}",
		"a port that is taken":             fmt.Sprintf(`, ports: ["127.0.0.1:%d:80"]`, taken.Addr().(*net.TCPAddr).Port),
		"a seccomp profile that is none":   `, security_opt: ["seccomp:{no profile"]`,
		"a command that is not there":      ", entrypoint: /no/such/program",
		"a command that ends":              `, entrypoint: ["false"]`,
	} {
		t.Run(what, func(t *testing.T) {
			_, err := l.run("up", "--yes", "-f", l.own(more))
			if err == nil || !strings.HasPrefix(err.Error(), "recreate container "+l.Name+"-own-1: ") || !strings.HasSuffix(err.Error(), "nothing is lost: what was runs again") {
				t.Errorf("got %v", err)
			}
			c := l.Inspect("own")
			if c.ID != first || !c.State.Running {
				t.Fatalf("%s, running %t", c.ID, c.State.Running)
			}
			if names := l.Containers(); len(names) != 1 {
				t.Errorf("left behind: %v", names)
			}
			if got := l.In("own", "cat /root/work"); got != "of weeks" {
				t.Errorf("the work: %q", got)
			}
		})
	}
	if out := l.mustRun("plan", "-f", l.own("")); !strings.Contains(out, "nothing to do") {
		t.Errorf("the old file:\n%s", out)
	}
}

// A takeover that the engine refuses leaves docker compose's container as it was.
func TestATakeoverThatTheEngineRefusesCostsNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	name := l.Name + "-own-1"
	created, err := l.API.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: name, Config: &container.Config{
		Image: os.Getenv("BERTH_BASE_IMAGE"), Cmd: []string{"sh", "-c", "echo of weeks >/root/work; exec sleep 1000"}, StopTimeout: new(int),
		Labels: map[string]string{labels.ComposeProject: l.Name, labels.ComposeService: "own"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.API.ContainerRemove(context.Background(), created.ID, client.ContainerRemoveOptions{Force: true}) // where it was not taken over
	})
	if _, err := l.API.ContainerStart(t.Context(), created.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, more := range []string{", runtime: nvidia", `, entrypoint: ["false"]`} {
		if _, err := l.run("up", "--yes", "-f", l.own(more)); err == nil || !strings.HasSuffix(err.Error(), "nothing is lost: what was runs again") {
			t.Errorf("%s: %v", more, err)
		}
		if c := l.Inspect("own"); c.ID != created.ID || !c.State.Running || l.In("own", "cat /root/work") != "of weeks" {
			t.Errorf("%s: %s, running %t", more, c.ID, c.State.Running)
		}
	}
	l.mustRun("up", "--yes", "-f", l.own(""))
	if c := l.Inspect("own"); c.ID == created.ID || l.In("own", "cat /root/work") != "of weeks" {
		t.Error("it is not taken over, or without the work")
	}
}

func TestWhatWasWrittenGoesWithTheHost(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.mustRun("up", "-f", l.own(", environment: {A: one, B: one}, labels: {mine: yes-it-is}"))
	l.In("own", "echo of weeks >/root/work; chown 1000:1000 /root/work; rm /etc/motd; ln /root/work /root/same")
	image := l.Inspect("own").Config.Labels[labels.Image]
	var carried []string
	for _, a := range []string{"two", "three"} {
		file := l.own(", environment: {A: " + a + "}")
		out := l.mustRun("up", "--yes", "-f", file)
		if !strings.Contains(out, "what was written in it is carried over") {
			t.Errorf("the plan:\n%s", out)
		}
		if !regexp.MustCompile(`-own-1: \S+ carried over, about 1s\n`).MatchString(out) {
			t.Errorf("no size in the plan:\n%s", out)
		}
		want := "1000 2\nof weeks\ngone\n" + a + "\n[]"
		if got := l.In("own", "stat -c '%u %h' /root/work; cat /root/same; test -e /etc/motd || echo gone; echo $A; echo [$B]"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		c := l.Inspect("own")
		carried = append(carried, c.Config.Image)
		if c.Config.Labels[labels.Image] != image || c.Config.Labels["mine"] != "" {
			t.Errorf("labels %v", c.Config.Labels)
		}
		if out := l.mustRun("plan", "-f", file); !strings.Contains(out, "nothing to do") {
			t.Errorf("after it:\n%s", out)
		}
	}
	if out := l.mustRun("plan", "--fresh", "-f", l.own(", environment: {A: four}")); !strings.Contains(out, " written in it go:\n") || !strings.Contains(out, "\n9B /root/work\n") {
		t.Errorf("what was carried over before is not listed:\n%s", out)
	}
	l.mustRun("up", "--yes", "--fresh", "-f", l.own(", environment: {A: four}"))
	if got := l.In("own", "ls /root"); got != "" {
		t.Errorf("fresh, and there is %s", got)
	}
	l.In("own", "echo scratch >/root/scratch")
	l.In("own", "mkdir -p /opt/big/one/two && head -c 3145728 /dev/zero >/opt/big/one/two/file && ln -s /etc/shadow /root/link")
	out, err := l.run("up", "-f", l.own(", environment: {A: five}, x-berth: {keep: false}"))
	for _, want := range []string{"-own-1: 3MiB written in it go:\n", "\n3MiB /opt/big/one\n", "\n8B /root/scratch\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if err == nil || !strings.Contains(err.Error(), "removes what was written in own") {
		t.Errorf("keep: false is not asked for: %v", err)
	}
	l.mustRun("up", "--yes", "-f", l.own(", environment: {A: five}, x-berth: {keep: false}"))
	if got := l.In("own", "ls /root"); got != "" {
		t.Errorf("not kept, and there is %s", got)
	}
	l.mustRun("down", "--yes")
	for _, ref := range carried {
		if _, err := l.API.ImageInspect(t.Context(), ref); err == nil || !strings.HasPrefix(ref, "berth/kept:") {
			t.Errorf("left behind: %s", ref)
		}
	}
}

// A container that somebody removes past provision leaves what was written in it, as an image
// that nobody would know of: doctor and the next plan say how to get the files back, and how
// to be rid of them. Nothing removes them unasked.
func TestWhatIsLeftOfARemovedContainerIsSaid(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.mustRun("up", "-f", l.own(", environment: {A: one}"))
	l.In("own", "head -c 3145728 /dev/zero >/root/work")
	file := l.own(", environment: {A: two}")
	l.mustRun("up", "--yes", "-f", file)
	ref := l.Inspect("own").Config.Image
	if !strings.HasPrefix(ref, "berth/kept:"+l.Host("own")+".") {
		t.Errorf("the image is called %s", ref)
	}
	said := "image " + ref + " has what was written in host " + l.Host("own") + " until " + time.Now().Format("2006-01-02")
	if out, _ := l.run("doctor"); strings.Contains(out, ref) {
		t.Errorf("while its container is there:\n%s", out)
	}
	if _, err := l.API.ContainerRemove(t.Context(), l.Inspect("own").ID, client.ContainerRemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	out, err := l.run("doctor")
	for _, want := range []string{said, "(3MiB)", "docker cp kept:/root .", "docker image rm " + ref} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("no %q in what doctor says:\n%s", want, out)
		}
	}
	if out := l.mustRun("up", "--yes", "-f", file); !strings.Contains(out, "warning: "+said) || !strings.Contains(out, "the new one begins without") {
		t.Errorf("up says nothing of it:\n%s", out)
	}
	l.mustRun("down", "--yes")
	if _, err := l.API.ImageInspect(t.Context(), ref); err != nil {
		t.Errorf("it was removed unasked: %v", err)
	}
	if _, err := l.API.ImageRemove(t.Context(), ref, client.ImageRemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	if out, _ := l.run("doctor"); strings.Contains(out, ref) {
		t.Errorf("when it is gone:\n%s", out)
	}
}

// A secret of a file is there for who works on the host, and nowhere else: in no label and no
// variable, in nothing that is said, and not in the image of what is carried over.
func TestTheFileOfASecretIsMountedAndNothingElseHasIt(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	secret := filepath.Join(t.TempDir(), "token")
	harness.Write(t, secret, 0o600, "SEKRIT\n")
	file := func(value string) string {
		return l.File("services: {own: {image: " + os.Getenv("BERTH_BASE_IMAGE") + ", command: sleep 1000, stop_grace_period: 0s, secrets: [token], " +
			"configs: [{source: settings, target: /etc/own.conf}], environment: {A: " + value + "}}}\n" +
			"secrets: {token: {file: " + secret + "}}\nconfigs: {settings: {file: " + secret + "}}\n")
	}
	said := l.mustRun("up", "-f", file("one"))
	if got := l.In("own", "cat /run/secrets/token /etc/own.conf; (echo x >/run/secrets/token) 2>/dev/null || echo read-only"); !strings.HasPrefix(got, "SEKRIT\nSEKRIT\n") || !strings.HasSuffix(got, "read-only") {
		t.Errorf("in the host: %q", got)
	}
	if out := l.mustRun("plan", "-f", file("one")); !strings.Contains(out, "nothing to do") {
		t.Errorf("after up:\n%s", out)
	}
	l.In("own", "echo of weeks >/root/work")
	said += l.mustRun("up", "--yes", "-f", file("two"))
	if got := l.In("own", "cat /run/secrets/token /root/work"); got != "SEKRIT\nof weeks" {
		t.Errorf("in the host that was recreated: %q", got)
	}
	c := l.Inspect("own")
	if has := fmt.Sprint(said, c.Config, c.Config.Labels); strings.Contains(has, "SEKRIT") {
		t.Errorf("the secret is in %s", has)
	}
	kept, err := l.API.ContainerCreate(t.Context(), client.ContainerCreateOptions{Config: &container.Config{Image: c.Config.Image}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.API.ContainerRemove(context.Background(), kept.ID, client.ContainerRemoveOptions{Force: true})
	for _, path := range []string{"/run/secrets/token", "/etc/own.conf"} {
		if stat, err := l.API.ContainerStatPath(t.Context(), kept.ID, client.ContainerStatPathOptions{Path: path}); err == nil && stat.Stat.Size > 0 {
			t.Errorf("the image of what is carried over has %s", path)
		}
	}
}

// What was written cannot be carried to another image: it is listed, and asked about.
func TestAnotherImageIsAskedAbout(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	own := func(step string) string {
		return l.File(`services: {own: {command: sleep 1000, stop_grace_period: 0s, volumes: ["data:/data"],
			build: {dockerfile_inline: "FROM ` + os.Getenv("BERTH_BASE_IMAGE") + `\nENV STEP=` + step + `"}}}` + "\nvolumes: {data: }\n")
	}
	l.mustRun("up", "-f", own("one"))
	l.In("own", "mkdir -p /opt/big/one && head -c 3145728 /dev/zero >/opt/big/one/file; echo kept >/data/work; echo lost >/root/work")
	first := l.Inspect("own").ID
	out, err := l.run("up", "-f", own("two"))
	for _, want := range []string{"-own-1: 3MiB written in it go:\n", "\n3MiB /opt/big/one\n", "\n5B /root/work\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if err == nil || !strings.Contains(err.Error(), "removes what was written in "+l.Host("own")+" outside its volumes") || l.Inspect("own").ID != first {
		t.Errorf("it is not asked: %v", err)
	}
	l.mustRun("up", "--yes", "-f", own("two"))
	if got := l.In("own", "echo $STEP; cat /data/work; ls /root /opt"); got != "two\nkept\n/opt:\n\n/root:" {
		t.Errorf("got %q", got)
	}
}

// Another project's volume is never deleted: not by who borrows it, and not by its own
// project as long as somebody has it.
func TestABorrowedVolumeStays(t *testing.T) {
	t.Parallel()
	owner, borrower := newLab(t), newLab(t)
	file := func(l lab) string {
		return l.File("services: {own: {image: " + os.Getenv("BERTH_BASE_IMAGE") + ", command: sleep 1000, stop_grace_period: 0s, volumes: [\"data:/data\"]}}\n" +
			"volumes: {data: {name: " + owner.Name + "_lent}}\n")
	}
	owner.mustRun("up", "-f", file(owner))
	owner.In("own", "echo of weeks >/data/work")
	if out := borrower.mustRun("up", "-f", file(borrower)); !strings.Contains(out, "volume "+owner.Name+"_lent is of project "+owner.Name) {
		t.Errorf("borrowed unsaid:\n%s", out)
	}
	if out := owner.mustRun("down", "--volumes", "--yes"); !strings.Contains(out, "volume "+owner.Name+"_lent stays: container "+borrower.Name+"-own-1") {
		t.Errorf("the owner's down:\n%s", out)
	}
	borrower.mustRun("down", "--volumes", "--yes")
	owner.mustRun("up", "-f", file(owner))
	if got := owner.In("own", "cat /data/work"); got != "of weeks" {
		t.Errorf("the work: %q", got)
	}
}

func TestVolumesGoWithTheHost(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	build := `, image: , build: {dockerfile_inline: "FROM ` + os.Getenv("BERTH_BASE_IMAGE") + `\nVOLUME /asked"}`
	own := func(more string) string {
		return l.File(strings.Replace("services: {own: {command: sleep 1000, stop_grace_period: 0s"+build+more+"}}\nvolumes: {home: , late: }\n", ", image: ", "", 1))
	}
	l.mustRun("up", "-f", own(`, volumes: ["/data"]`))
	l.In("own", "for d in /data /asked /home /srv; do echo kept in $d >$d/work; chown 1000 $d/work; done")
	for _, more := range []string{
		`, volumes: ["/data"], environment: {A: one}`,
		`, volumes: ["/data", "home:/home"], environment: {A: two}`,
		`, volumes: ["/data", "home:/home", "late:/srv"], environment: {A: two}`,
	} {
		out := l.mustRun("up", "--yes", "-f", own(more))
		if strings.Contains(out, "warning") {
			t.Errorf("warned of nothing:\n%s", out)
		}
		for _, d := range []string{"/data", "/asked", "/home", "/srv"} {
			if got := l.In("own", "cat "+d+"/work; stat -c %u "+d+"/work"); got != "kept in "+d+"\n1000" {
				t.Errorf("%s: %q", d, got)
			}
		}
	}
	l.In("own", "rm /srv/work")
	out := l.mustRun("up", "--yes", "-f", own(`, volumes: ["/data", "home:/var/mail"], environment: {A: three}`))
	if !strings.Contains(out, "what "+l.Name+"-own-1 has in /var/mail will be hidden by volume "+l.Name+"_home") {
		t.Errorf("hidden unsaid:\n%s", out)
	}
}
