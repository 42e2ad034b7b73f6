package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"berth/auth"
)

// imports is what import makes of a file in a directory of that name.
func imports(t *testing.T, compose string) (dir string, i *imported, err error) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "seed")
	if err := os.CopyFS(dir, os.DirFS("testdata/seed")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "docker-compose.yml")
	if compose != "" {
		if err := os.WriteFile(file, []byte(compose), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	if i, err = newImport(t.Context(), options{files: []string{file}}); err == nil {
		err = i.write()
	}
	return dir, i, err
}

func TestImportOfTheSeed(t *testing.T) {
	gateway := filepath.Join(t.TempDir(), "gateway")
	if out, err := exec.Command("go", "build", "-o", gateway, "../gateway").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir, i, err := imports(t, "")
	if err != nil {
		t.Fatal(err)
	}
	const want = `PORT  HOST     BEFORE                     NOW
4432  +master  ssh -p 4432 developer@box  ssh -p 2222 developer-master+master@box
4432  +master  ssh -p 4432 root@box       ssh -p 2222 root-master+master@box
4433  +worker  ssh -p 4433 developer@box  ssh -p 2222 developer-worker+worker@box
4433  +worker  ssh -p 4433 root@box       ssh -p 2222 root-worker+worker@box
master: its build gives way to Berth's host image on nvidia/cuda:12.6.3-cudnn-devel-ubuntu20.04; what else the Dockerfile installs is not in it
worker: its build gives way to Berth's host image on nvidia/cuda:12.6.3-cudnn-devel-ubuntu20.04; what else the Dockerfile installs is not in it
next: provision up -f compose.berth.yaml, and gateway serve --config gateway.yaml
`
	if got := i.table(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if out, err := exec.Command(gateway, "check", "--config", importedGateway).CombinedOutput(); err != nil {
		t.Errorf("gateway check: %v\n%s", err, out)
	}
	opens(t, "developer-master+master", "brodpik")
	opens(t, "root-worker+worker", "jomanlungma")

	project, err := loadProject(t.Context(), options{files: []string{importedCompose}, base: "debian:12"})
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := project.want(site{base: "debian:12"})
	if err != nil {
		t.Fatal(err)
	}
	if len(wanted.warnings) > 0 || wanted.project != "seed" || !wanted.services[0].image.isHost() {
		t.Errorf("the new compose file: project %s, %q", wanted.project, wanted.warnings)
	}
	for _, s := range wanted.services {
		if s.gpus.count != 1 || s.reserved.nanoCPUs != 4e9 || s.hostConfig.Mounts[0].Source != "seed_"+s.name {
			t.Errorf("%s lost a reservation or its volume: %+v", s.name, s)
		}
	}
	if _, err := newImport(t.Context(), options{files: []string{importedCompose}}); err == nil {
		t.Error("a second import found something")
	}
	if err := i.write(); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("overwrote a file in %s: %v", dir, err)
	}
}

// opens: the password of old opens the gateway's user.
func opens(t *testing.T, login, password string) {
	t.Helper()
	text, err := os.ReadFile(importedGateway)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Users map[string]struct {
			Password string
			Hosts    map[string]string
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var users []auth.User
	for name, u := range file.Users {
		granted := map[string]auth.Grant{}
		for host, account := range u.Hosts {
			granted[host] = auth.GrantAccount(account)
		}
		users = append(users, auth.User{Name: name, Password: u.Password, Hosts: granted})
	}
	policy, err := auth.NewPolicy(users)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Password(login, []byte(password)); err != nil {
		t.Errorf("%s: %v", login, err)
	}
}

func TestImportKeepsWhatIsNotTheGateways(t *testing.T) {
	_, i, err := imports(t, `# our lab
services:
  a:
    image: ours   # with CUDA
    ports: ["2201:22/tcp", "8888:8888", {target: 22, published: "2202"}]
    environment: {DEVELOPER_PASSWORD: same-everywhere, TZ: UTC}
  b:
    image: ours
    ports: ["2203:22"]
    environment: [DEVELOPER_PASSWORD=same-everywhere]
`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(importedCompose)
	if err != nil {
		t.Fatal(err)
	}
	const want = `# our lab
services:
  a:
    image: ours # with CUDA
    ports: ["8888:8888"]
    environment: {TZ: UTC}
  b:
    image: ours
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if l := i.logins[1]; l.user != "developer" || l.port != "2203" {
		t.Errorf("one password everywhere is one user: %+v", l)
	}
}

func TestImportLeavesNoPasswordBehind(t *testing.T) {
	_, _, err := imports(t, `
x-all: &all {DEVELOPER_PASSWORD: in-an-anchor}
services:
  a: {image: ours, environment: *all}
`)
	if err == nil || !strings.Contains(err.Error(), "stands in another place") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(importedCompose); err == nil {
		t.Error("it was written nevertheless")
	}
}
