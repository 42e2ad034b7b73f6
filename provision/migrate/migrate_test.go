package migrate

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/provision/compose"
)

// imports runs the import in a new directory that has this text as its files.
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
		err = m.Write(ComposeFile)
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
		{Host: "master", Account: "developer", Port: "4432", User: "developer-master", service: "master", password: "brodpik"},
		{Host: "master", Account: "root", Port: "4432", User: "root-master", service: "master", password: "everest"},
		{Host: "worker", Account: "developer", Port: "4433", User: "developer-worker", service: "worker", password: "gasherbroom"},
		{Host: "worker", Account: "root", Port: "4433", User: "root-worker", service: "worker", password: "jomanlungma"},
	}
	if !slices.Equal(m.Logins, want) {
		t.Errorf("got\n%+v\nwant\n%+v", m.Logins, want)
	}
	if out, err := exec.Command(gateway, "check", "--config", GatewayFile).CombinedOutput(); err != nil {
		t.Errorf("gateway check: %v\n%s", err, out)
	}
	opens(t, "developer-master+master", "brodpik")
	opens(t, "root-worker+worker", "jomanlungma")

	project, err := compose.Load(t.Context(), compose.Options{Base: "debian:12"}) // the bare command finds it
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := project.Want(compose.Site{Base: "debian:12", Today: time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	past := func(warning string) bool {
		return strings.Contains(warning, "ubuntu 20.04 has had no security updates")
	}
	if others := slices.DeleteFunc(slices.Clone(wanted.Warnings), past); len(others) > 0 || len(wanted.Warnings) != 2 || wanted.Project != "seed" || !wanted.Services[0].Image.IsHost() {
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
	if err := m.Write(ComposeFile); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("overwrote a file in %s: %v", dir, err)
	}
}

// opens checks that a former login's password is valid for the gateway's user.
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
    volumes:
      - a-home:/home/developer
  b:
    image: ours
    volumes:
      - b-home:/home/developer
volumes:
  a-home: {}
  b-home: {}
x-berth:
  imported_from: docker-compose.yml
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if l := m.Logins[1]; l.User != "developer" || l.Port != "2203" {
		t.Errorf("one password everywhere is one user: %+v", l)
	}
}

// written returns what import writes for a file, without the mark that names the
// file.
func written(t *testing.T, text string) (string, *Migration) {
	t.Helper()
	_, m, err := imports(t, text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(ComposeFile)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(string(got), "x-berth:\n  imported_from: docker-compose.yml\n", "", 1), m
}

func TestImportFindsPasswordsBehindMergesAndAliases(t *testing.T) {
	got, m := written(t, `
x-all: &all {DEVELOPER_PASSWORD: in-an-anchor, TZ: UTC}
x-box: &box
  image: ours
  environment: *all
  volumes: ["data:/data", "/var/run/docker.sock:/var/run/docker.sock"]
services:
  a: {<<: *box, ports: ["2201:22"]}
  b:
    <<: *box
    environment: {<<: *all, ROOT_PASSWORD: of-b}
volumes: {data: }
`)
	const want = `x-all: &all {TZ: UTC}
x-box: &box
  image: ours
  environment: *all
  volumes: ["data:/data"]
services:
  a: {<<: *box, volumes: ["data:/data", 'a-home:/home/developer']}
  b:
    <<: *box
    environment: {<<: *all}
    volumes: ["data:/data", 'b-home:/home/developer', 'b-root:/root']
volumes: {data: null, a-home: {}, b-home: {}, b-root: {}}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(m.Logins) != 3 || m.Logins[0].User != "developer" || m.Logins[2].password != "of-b" {
		t.Errorf("logins %+v", m.Logins)
	}
	loads(t)
}

// loads checks that provision can read what import wrote, and that no password is in
// it.
func loads(t *testing.T) *compose.Project {
	t.Helper()
	project, err := compose.Load(t.Context(), compose.Options{Base: "debian:12"})
	if err != nil {
		t.Fatal(err)
	}
	for name, service := range project.Services {
		if found := compose.PasswordsIn(service.Environment); len(found) > 0 {
			t.Errorf("%s still has %v", name, found)
		}
	}
	return project
}

func TestImportTakesPasswordsOutOfEnvFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "all.env"), []byte("TZ=UTC\nexport ROOT_PASSWORD='chogori'\nDEVELOPER_PASSWORD=lhotse\nA=B\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "clean.env"), []byte("C=D\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "docker-compose.yml")
	text := "services:\n  a: {image: ours, env_file: [all.env, clean.env]}\n  b: {image: ours, env_file: {path: all.env}}\n"
	text = strings.Replace(text, "env_file: {path: all.env}", "env_file: [{path: all.env, required: true}]", 1)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	m, err := Read(t.Context(), compose.Options{Files: []string{file}})
	if err == nil {
		err = m.Write(ComposeFile)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Logins) != 4 || m.Logins[1].password != "chogori" || m.Logins[0].User != "developer" {
		t.Errorf("logins %+v", m.Logins)
	}
	clean, err := os.ReadFile("all.env.berth")
	if info, _ := os.Stat("all.env.berth"); err != nil || string(clean) != "TZ=UTC\nA=B\n" || info.Mode().Perm() != 0o640 {
		t.Errorf("%q, %v", clean, err)
	}
	for name, service := range loads(t).Services {
		if value := service.Environment["A"]; value == nil || *value != "B" {
			t.Errorf("%s lost a variable", name)
		}
	}
}

// Values are compared as a whole: a password that is a part of another value is no
// reason to refuse. A value or word that is a password is refused, with its line.
func TestImportLeavesNoPasswordBehind(t *testing.T) {
	t.Run("parts of other values", leavesWholeValuesAlone)
	for where, text := range map[string]string{
		"docker-compose.yml:4": "services:\n  a:\n    image: ours\n    environment: [DEVELOPER_PASSWORD=makalu, OTHER=makalu]\n",
		"docker-compose.yml:5": "services:\n  a:\n    image: ours\n    environment: {DEVELOPER_PASSWORD: makalu}\n    labels: {x: makalu}\n",
		"docker-compose.yml:3": "services:\n  a:\n    image: ours # ask anna for makalu\n    environment: {DEVELOPER_PASSWORD: makalu}\n",
	} {
		t.Run(where, func(t *testing.T) {
			_, _, err := imports(t, text)
			if err == nil || !strings.HasPrefix(err.Error(), where+": the password of developer on a stands here too") {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(ComposeFile); err == nil {
				t.Error("it was written nevertheless")
			}
		})
	}
}

func leavesWholeValuesAlone(t *testing.T) {
	got, _ := written(t, `
services:
  a:
    image: ours
    mem_limit: 8888M
    environment: [ROOT_PASSWORD=root, DEVELOPER_PASSWORD=8888]
    volumes: ["data:/root/data"]
    ports: ["8888:8888"]
volumes: {data: {}}
`)
	if !strings.Contains(got, "8888M") || strings.Contains(got, "PASSWORD") {
		t.Errorf("got\n%s", got)
	}
}

func TestUsersAreNamedByWhoKnows(t *testing.T) {
	_, m := written(t, `
services:
  a: {image: ours, environment: {DEVELOPER_PASSWORD: lhotse, ROOT_PASSWORD: makalu}}
  b: {image: ours, environment: {DEVELOPER_PASSWORD: lhotse}}
  c: {image: ours, environment: {DEVELOPER_PASSWORD: dhaulagiri}}
`)
	var proposed []string
	m.NameUsers(func(u User) string {
		proposed = append(proposed, u.Name+" on "+strings.Join(u.Hosts, " "))
		return map[string]string{"developer-a": "anna"}[u.Name] + map[string]string{"developer-c": "ben", "root": "admin"}[u.Name]
	})
	want := []string{"developer-a on a b", "root on a", "developer-c on c"}
	if !slices.Equal(proposed, want) {
		t.Errorf("proposed %q, want %q", proposed, want)
	}
	if l := m.Logins; l[0].User != "anna" || l[1].User != "admin" || l[2].User != "anna" || l[3].User != "ben" {
		t.Errorf("logins %+v", l)
	}
	if err := CheckName("anna", []string{"anna"}); err == nil {
		t.Error("one name for two passwords")
	}
}

// A mount of the file at a home, or above it, stays unchanged.
func TestHomesThatAreMountedKeepTheirVolume(t *testing.T) {
	got, _ := written(t, `services:
  a:
    image: ours
    environment: {DEVELOPER_PASSWORD: lhotse, ROOT_PASSWORD: makalu}
    volumes:
      - homes:/home
  b:
    image: ours
    environment: {ROOT_PASSWORD: cho-oyu}
volumes:
  homes:
  b-root:
`)
	const want = `services:
  a:
    image: ours
    volumes:
      - homes:/home
      - a-root:/root
  b:
    image: ours
    volumes:
      - b-root_:/root
volumes:
  homes:
  b-root:
  a-root: {}
  b-root_: {}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAnImportThatIsDoneIsKnownByTheOldFile(t *testing.T) {
	_, _, err := imports(t, "")
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"docker-compose.yml": "compose.yaml", "compose.yaml": ""} {
		project, err := compose.Load(t.Context(), compose.Options{Files: []string{file}})
		if err != nil {
			t.Fatal(err)
		}
		if got := project.ReplacedBy(); got != want {
			t.Errorf("%s is replaced by %q, want %q", file, got, want)
		}
	}
}

// The passwords of services under profiles are removed, too, whichever profiles are
// active now.
func TestImportOfServicesUnderProfiles(t *testing.T) {
	_, m, err := imports(t, `services:
  one: {image: debian:12, environment: [ROOT_PASSWORD=everest], ports: ["4432:22"]}
  two: {image: debian:12, profiles: [gpu], environment: [ROOT_PASSWORD=nuptse], ports: ["4433:22"]}
`)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(ComposeFile)
	if err != nil || strings.Contains(string(text), "nuptse") || strings.Contains(string(text), ":22") || !strings.Contains(string(text), "profiles: [gpu]") {
		t.Errorf("%v: the new file:\n%s", err, text)
	}
	if len(m.Logins) != 2 || m.Logins[1].Host != "two" {
		t.Errorf("got %+v", m.Logins)
	}
}

// The attack: a password that comes from another file would stay there, and in the
// container.
func TestAttackByAPasswordOfAnotherFile(t *testing.T) {
	const base = "services:\n  base: {image: debian:12, environment: [ROOT_PASSWORD=everest], ports: ['4432:22']}\n  plain: {image: debian:12}\n"
	const own = "services:\n  own: {image: debian:12, environment: [ROOT_PASSWORD=nuptse]}\n"
	for _, c := range []struct{ name, text, wrong string }{
		{"extended", own + "  web:\n    extends: {file: base.yml, service: base}\n", "docker-compose.yml:3: web: its passwords stand in base.yml, which it extends; merge the files first with docker compose config"},
		{"included", "include: [base.yml]\n" + own, "docker-compose.yml:2: base: its passwords stand in a file that this one includes; merge the files first with docker compose config"},
		{"extended, without any", own + "  web: {extends: {file: base.yml, service: plain}, environment: [ROOT_PASSWORD=lhotse]}\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "docker-compose.yml")
			t.Chdir(filepath.Dir(file))
			for name, text := range map[string]string{"base.yml": base, file: c.text} {
				if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Read(t.Context(), compose.Options{Files: []string{file}})
			if got := errorText(err); got != c.wrong {
				t.Errorf("got %q, want %q", got, c.wrong)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
