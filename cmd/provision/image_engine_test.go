package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// What x-berth says of the host image is so inside.
func TestSudoAndPackagesAreAsTheFileSays(t *testing.T) {
	l := newLab(t)
	l.mustRun("up", "-f", l.File(`
services:
  free: {x-berth: {packages: [hello]}}
  none: {x-berth: {sudo: none}, environment: {DEVELOPER_PASSWORD: makalu}}
  password: {x-berth: {sudo: password}, environment: {DEVELOPER_PASSWORD: makalu}}
`))
	for _, c := range []struct{ host, command, want string }{
		{"free", "sudo -n id -un", "root"},
		{"free", "hello", "Hello, world!"},
		{"none", "echo makalu | sudo -S -p '' id -un", "not allowed"},
		{"none", "hello", "not found"},
		{"password", "sudo -n id -un", "a password is required"},
		{"password", "echo makalu | sudo -S -p '' id -un", "root"},
		{"free", "python3 -m venv /tmp/v && /tmp/v/bin/pip --version >/dev/null && echo venv", "venv"},
		{"free", "LC_ALL=en_US.UTF-8 locale charmap; TERM=dumb less --version >/dev/null && tmux -V >/dev/null && gcc --version >/dev/null && man -w ls", "UTF-8\n/usr/share/man/man1/ls.1.gz"},
	} {
		if got := l.InAs("developer", c.host, c.command); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s\ngot  %q\nwant %q", c.host, c.command, got, c.want)
		}
	}
}

// NVIDIA's apt sources have had three names and two formats, and none of them may
// break a build: the image's first step takes them away, and no other source.
func TestNVIDIAsAptSourcesOfEveryAgeBreakNoBuild(t *testing.T) {
	l := newLab(t)
	dockerfile, err := os.ReadFile("../../image/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	step := regexp.MustCompile(`(?s)\nRUN (.*?[^\\\\])\n`).FindSubmatch(dockerfile)
	if step == nil || !strings.Contains(string(step[1]), "sources.list.d") {
		t.Fatal("the first step is another one")
	}
	script := `cd /etc/apt/sources.list.d && mkdir -p /usr/share/keyrings &&
		echo 'deb https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2004/x86_64 /' > cuda.list &&
		echo 'deb https://developer.download.nvidia.com/compute/machine-learning/repos/ubuntu1804/x86_64 /' > nvidia-ml.list &&
		echo 'deb [signed-by=/usr/share/keyrings/cuda-archive-keyring.gpg] https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64/ /' > cuda-debian12-x86_64.list &&
		printf 'Types: deb\\nURIs: https://developer.download.nvidia.cn/compute/cuda/repos/ubuntu2404/x86_64\\nSuites: /\\n' > cuda-ubuntu2404.sources &&
		echo 'deb https://nvidia.github.io/libnvidia-container/stable/deb/amd64 /' > nvidia-container-toolkit.list &&
		echo '# deb https://example.org/ours bookworm main' > ours.list &&
		{ apt-get update -qq --error-on=any >/dev/null 2>&1 || echo broken; }
		` + string(step[1]) + ` && ls && apt-get update -qq --error-on=any && echo updated`
	file := l.File("services: {base: {image: " + os.Getenv("BERTH_BASE_IMAGE") + ", command: [sleep, infinity]}}")
	l.mustRun("up", "-f", file)
	if got := l.InAs("root", "base", script); !strings.HasPrefix(got, "broken\n") || !strings.HasSuffix(got, "ours.list\nupdated") || strings.Contains(got, "nvidia") {
		t.Errorf("got\n%s", got)
	}
}
