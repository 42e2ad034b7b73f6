package image

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestContextHoldsEveryFileThatTheDockerfileCopies(t *testing.T) {
	modes := map[string]int64{}
	r := tar.NewReader(Context())
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[header.Name] = header.Mode
	}
	dockerfile, err := files.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`(?m)^COPY (.+) \S+$`).FindAllSubmatch(dockerfile, -1) {
		for _, name := range strings.Fields(string(match[1])) {
			if modes[name] == 0 {
				t.Errorf("COPY %s: not in the context", name)
			}
		}
	}
	for _, script := range []string{"entrypoint.sh", "peers.sh"} {
		if modes[script]&0o111 == 0 {
			t.Errorf("%s is not executable", script)
		}
	}
}

func TestTagIsTheSameForTheSameBaseOnly(t *testing.T) {
	debian := Variant{Base: "debian:12"}
	if debian.Tag() != (Variant{Base: "debian:12"}).Tag() {
		t.Error("two tags for one base")
	}
	if debian.Tag() == (Variant{Base: "ubuntu:24.04"}).Tag() {
		t.Error("one tag for two bases")
	}
	if debian.Tag() == (Variant{Base: "debian:12", DockerCLI: true}).Tag() {
		t.Error("one tag with a docker command and without")
	}
	if debian.Tag() == (Variant{Base: "debian:12", Packages: "cowsay"}).Tag() {
		t.Error("one tag with more packages and without")
	}
	if tag := debian.Tag(); !regexp.MustCompile(`^berth/host:[0-9a-f]{12}$`).MatchString(tag) {
		t.Errorf("tag %q", tag)
	}
}

func TestDefaultBaseIsTheDockerfilesToo(t *testing.T) {
	dockerfile, err := files.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	want := "(?m)^ARG BASE=" + regexp.QuoteMeta(DefaultBase) + "$"
	if !regexp.MustCompile(want).Match(dockerfile) {
		t.Errorf("the Dockerfile's BASE is not %s", DefaultBase)
	}
}

func TestTheEntrypointKeepsHostKeysWhereTheVolumeIs(t *testing.T) {
	entrypoint, err := files.ReadFile("entrypoint.sh")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile("(?m)^keys=" + HostKeys + "$").Match(entrypoint) {
		t.Errorf("entrypoint.sh keeps its host keys elsewhere than %s", HostKeys)
	}
}

func TestSshdAcceptsItsConfiguration(t *testing.T) {
	sshd, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		missing(t, "no /usr/sbin/sshd here")
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd -t wants it
		missing(t, err.Error())
	}
	key := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	out, err := exec.Command(sshd, "-t", "-f", "sshd_config", "-h", key).CombinedOutput()
	if err != nil {
		t.Errorf("sshd -t: %v\n%s", err, out)
	}
}

// missing skips a test for want of a tool, which CI must have.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// The tags that commit eb9364a gave to its files: an upgrade of provision alone
// recreates no host.
func TestTagsOfTheSameFilesAndArgumentsStay(t *testing.T) {
	then := os.DirFS("testdata/eb9364a")
	for variant, want := range map[Variant]string{
		{Base: "debian:12"}:                  "berth/host:c3de4256ac2c",
		{Base: "debian:12", DockerCLI: true}: "berth/host:44cd1dc250d8",
	} {
		if got := variant.tagWith(then); got != want {
			t.Errorf("%+v: got %s, want %s", variant, got, want)
		}
	}
}
