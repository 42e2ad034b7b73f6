package migrate

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"berth/auth"
	"berth/provision/compose"
)

// imports is what import makes of a file in a directory of that name.
func imports(t *testing.T, text string) (dir string, m *Migration, err error) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "seed")
	if err := os.CopyFS(dir, os.DirFS("../../cmd/provision/testdata/seed")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "docker-compose.yml")
	if text != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	if m, err = Read(t.Context(), compose.Options{Files: []string{file}}); err == nil {
		err = m.Write()
	}
	return dir, m, err
}

func TestImportOfTheSeed(t *testing.T) {
	gateway := filepath.Join(t.TempDir(), "gateway")
	if out, err := exec.Command("go", "build", "-o", gateway, "../../cmd/gateway").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir, m, err := imports(t, "")
	if err != nil {
		t.Fatal(err)
	}
	want := []Login{
		{Host: "master", Account: "developer", Port: "4432", User: "developer-master", password: "brodpik"},
		{Host: "master", Account: "root", Port: "4432", User: "root-master", password: "everest"},
		{Host: "worker", Account: "developer", Port: "4433", User: "developer-worker", password: "gasherbroom"},
		{Host: "worker", Account: "root", Port: "4433", User: "root-worker", password: "jomanlungma"},
	}
	if !slices.Equal(m.Logins, want) {
		t.Errorf("got\n%+v\nwant\n%+v", m.Logins, want)
	}
	if out, err := exec.Command(gateway, "check", "--config", GatewayFile).CombinedOutput(); err != nil {
		t.Errorf("gateway check: %v\n%s", err, out)
	}
	opens(t, "developer-master+master", "brodpik")
	opens(t, "root-worker+worker", "jomanlungma")

	project, err := compose.Load(t.Context(), compose.Options{Files: []string{ComposeFile}, Base: "debian:12"})
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := project.Want(compose.Site{Base: "debian:12"})
	if err != nil {
		t.Fatal(err)
	}
	if len(wanted.Warnings) > 0 || wanted.Project != "seed" || !wanted.Services[0].Image.IsHost() {
		t.Errorf("the new compose file: project %s, %q", wanted.Project, wanted.Warnings)
	}
	for _, s := range wanted.Services {
		if s.GPUs.Count != 1 || s.Reserved.NanoCPUs != 4e9 || s.HostConfig.Mounts[0].Source != "seed_"+s.Name {
			t.Errorf("%s lost a reservation or its volume: %+v", s.Name, s)
		}
	}
	if _, err := Read(t.Context(), compose.Options{Files: []string{ComposeFile}}); err == nil {
		t.Error("a second import found something")
	}
	if err := m.Write(); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("overwrote a file in %s: %v", dir, err)
	}
}

// opens: the password of old opens the gateway's user.
func opens(t *testing.T, login, password string) {
	t.Helper()
	text, err := os.ReadFile(GatewayFile)
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
	_, m, err := imports(t, `# our lab
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
	got, err := os.ReadFile(ComposeFile)
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
	if l := m.Logins[1]; l.User != "developer" || l.Port != "2203" {
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
	if _, err := os.Stat(ComposeFile); err == nil {
		t.Error("it was written nevertheless")
	}
}
