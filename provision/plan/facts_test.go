package plan

import (
	"cmp"
	"encoding/json"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/image"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
)

// made is a project that an older version created, as the engine describes it.
type made struct {
	Project    string
	UserCA     string
	Containers []container.InspectResponse
	Networks   map[string]map[string]string // labels by name
	Volumes    map[string]map[string]string
}

// An upgrade of provision recreates no host, also if the gateway has another user CA
// by now. The only exception is a host with the CA of another gateway, which cannot
// be told of this one's.
func TestHostsOfAnOlderVersionAreUnchanged(t *testing.T) {
	cases, err := filepath.Glob("testdata/eb9364a/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, path := range cases {
		t.Run(filepath.Base(path), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			unpack(t, archive)
			inTheModesOfThen(t)
			var m made
			readJSON(t, "made.json", &m)
			files := strings.Fields(strings.SplitN(string(archive.Comment), "\n", 2)[0])
			is := m.UserCA
			for _, now := range []string{is, "ssh-ed25519 NEXT"} {
				m.UserCA = now
				want := m.wanted(t, files)
				have := m.observed(want)
				have.Marks = Marks{Secret: []byte("made after them"), Unmarked: Unmarked(have.Containers, have.Box), UserCAs: []string{now, is}}
				if have.Containers = have.Marks.Judge(have.Containers); slices.ContainsFunc(have.Containers, func(c Container) bool { return c.Foreign }) {
					t.Error("one of them is taken for somebody else's")
				}
				hasHosts := slices.ContainsFunc(want.Services, func(s compose.Service) bool { return s.Image.IsHost() })
				p, err := Up(want, have, Options{})
				if err != nil || len(p.Steps)+len(p.Kept) > 0 {
					t.Errorf("%v; the plan by user CA %s:\n%s", err, now, p)
				}
				have.Marks.UserCAs = []string{now}
				if p, err := Up(want, have, Options{}); now != is && hasHosts && (err != nil || !strings.Contains(p.String(), "environment.BERTH_USER_CA changed")) {
					t.Errorf("%v; the plan where the user CA was another gateway's:\n%s", err, p)
				}
			}
		})
	}
}

func (m made) wanted(t *testing.T, files []string) compose.Wanted {
	t.Helper()
	project, err := compose.Load(t.Context(), compose.Options{Files: files, Project: m.Project, Base: "berth-base:bookworm"})
	if err != nil {
		t.Fatal(err)
	}
	want, err := project.Want(compose.Site{Base: "berth-base:bookworm", UserCA: m.UserCA, HelperDir: "/var/lib/berth/helper"})
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// observed returns the engine with what was created, on a machine with enough room.
// The host image exists with its present tag: a change of that image's files is
// another test's subject.
func (m made) observed(want compose.Wanted) Observed {
	have := Observed{
		Box: box.Box{Engine: box.Engine{NanoCPUs: 8e9, Memory: 64 << 30}}, Images: map[string]string{}, Networks: m.Networks, Volumes: m.Volumes,
	}
	for _, c := range m.Containers {
		is := Container{ID: c.ID, Name: strings.TrimPrefix(c.Name, "/"), Labels: c.Config.Labels, Mounts: c.Mounts, HostConfig: *c.HostConfig, Running: true, State: "running"}
		for name := range c.NetworkSettings.Networks {
			is.Networks = append(is.Networks, name)
		}
		have.Containers = append(have.Containers, is)
		have.Images[c.Config.Image] = c.Image
		for _, s := range want.Services {
			if s.Image.IsHost() && strings.HasPrefix(c.Config.Image, "berth/host:") {
				have.Images[s.Image.Ref] = c.Image
			}
		}
	}
	return have
}

// inTheModesOfThen sets the modes of a build's files to those of that time: they are
// part of the image's tag.
func inTheModesOfThen(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return os.Chmod(path, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// The facts of TestPlan's cases must be, key by key, those that commit eb9364a wrote.
func TestFactsAndTagsAreThoseOfVersion1(t *testing.T) {
	var recorded map[string]map[string]struct {
		Facts facts
		Image string
	}
	readJSON(t, "testdata/eb9364a/facts.json", &recorded)
	for name, services := range recorded {
		archive, err := txtar.ParseFile("testdata/plan/" + name + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			unpack(t, archive)
			inTheModesOfThen(t)
			project, want, err := wantedIn(t, archive)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range want.Services {
				then := services[s.Name]
				now, _ := readFacts(strings.ReplaceAll(inJSON(factsOf(s, hashOf)), project.WorkingDir, "DIR"))
				for _, change := range now.changes(then.Facts) {
					t.Errorf("%s: %s", s.Name, change)
				}
				if !s.Image.IsHost() && s.Image.Ref != then.Image {
					t.Errorf("%s: image %s, then %s", s.Name, s.Image.Ref, then.Image)
				}
			}
		})
	}
}

// Another version may choose its defaults differently, and no host is recreated for
// that. A change of the files does recreate it.
func TestOnlyTheFilesWordChangesADefault(t *testing.T) {
	older := Container{Labels: map[string]string{labels.Route: labels.RouteSshd}}
	with := Container{
		Labels:     map[string]string{labels.Route: labels.RouteExec},
		HostConfig: container.HostConfig{Mounts: []mount.Mount{{Target: image.Peers}}},
	}
	yes, no := true, false
	for _, c := range []struct {
		is   Container
		said compose.Said
		want string
	}{
		{older, compose.Said{}, ""},
		{with, compose.Said{}, ""},
		{older, compose.Said{Route: labels.RouteSshd, Peers: &no}, ""},
		{with, compose.Said{Route: labels.RouteExec, Peers: &yes}, ""},
		{older, compose.Said{Route: labels.RouteExec}, "labels.berth.route: sshd → exec"},
		{with, compose.Said{Route: labels.RouteSshd}, "labels.berth.route: exec → sshd"},
		{older, compose.Said{Peers: &yes}, "peers: false → true"},
		{with, compose.Said{Peers: &no}, "peers: true → false"},
	} {
		if got := strings.Join(c.is.unlike(c.said), ", "); got != c.want {
			t.Errorf("%v of %v: got %q, want %q", c.said, c.is, got, c.want)
		}
	}
}

// Earlier versions wrote extra_hosts in any order.
func TestTheOrderOfHostsIsNoChange(t *testing.T) {
	before := facts{"extra_hosts": `["b:10.0.0.2","a:10.0.0.1","a:10.0.0.3"]`}
	now := facts{"extra_hosts": `["a:10.0.0.1","a:10.0.0.3","b:10.0.0.2"]`}
	if changes := now.changes(before); changes != nil {
		t.Errorf("another order is %q", changes)
	}
	now["extra_hosts"] = `["a:10.0.0.3","a:10.0.0.1","b:10.0.0.2"]`
	if changes := now.changes(before); len(changes) != 1 {
		t.Errorf("another first address of a name is %q", changes)
	}
}

func TestFactsOfALaterVersionAreNotGuessedAt(t *testing.T) {
	if before, _ := readFacts(`{"version":"3","hostname":"a"}`); before != nil {
		t.Errorf("read as %v", before)
	}
	now := facts{"hostname": "a"}
	if got := now.changes(nil); len(got) != 1 || !strings.Contains(got[0], "another version of provision") {
		t.Errorf("got %q", got)
	}
	before, version := readFacts(now.label())
	if got := now.changes(before); got != nil || version != "2" {
		t.Errorf("its own label: %q", got)
	}
}

// The attack: somebody who may use Docker reads the label, and tries every likely
// value. Without the secret of the state directory no guess can be checked.
func TestAttackByGuessingVariables(t *testing.T) {
	s := compose.Service{Config: container.Config{Env: []string{"PASSWORD=hunter2", "AGAIN=hunter2"}}}
	ours := Marks{Secret: []byte("ours")}
	made := factsOf(s, ours.digestOf)
	if is := made["environment.PASSWORD"]; is == hashOf("", "hunter2") || is == made["environment.AGAIN"] || len(is) != 2*markSize {
		t.Errorf("the digest is %s", is)
	}
	if guessed := factsOf(s, Marks{Secret: []byte("theirs")}.digestOf); guessed["environment.PASSWORD"] == made["environment.PASSWORD"] {
		t.Error("another secret has the same digest")
	}
	if changes := ours.factsSince(made.label(), s); len(changes) > 0 {
		t.Errorf("unchanged, and %q", changes)
	}
	s.Config.Env[0] = "PASSWORD=hunter3"
	if changes := ours.factsSince(made.label(), s); !slices.Equal(changes, []string{"environment.PASSWORD changed"}) {
		t.Errorf("changed, and %q", changes)
	}
}

// The golden file has each field of the engine's structures, with the facts that it
// writes when only that field is set. A field that is not in the file is new in the
// engine's library: it writes nothing, so no host is recreated. Decide whether
// provision is to set it; if so, it needs a line in facts_v1.go. Then run with
// -update.
func TestEveryFieldOfTheEnginesIsDecided(t *testing.T) {
	const golden = "testdata/facts/fields.golden"
	var lines []string
	for _, structure := range []reflect.Type{
		reflect.TypeFor[container.Config](), reflect.TypeFor[container.HostConfig](), reflect.TypeFor[network.EndpointSettings](),
	} {
		for _, path := range leaves(structure, nil) {
			names := []string{structure.Name()}
			value := reflect.New(structure)
			setLeaf(value.Elem(), path, &names)
			wrote := slices.Sorted(maps.Keys(factsAlone(value.Interface())))
			lines = append(lines, strings.Join(names, ".")+": "+cmp.Or(strings.Join(wrote, " "), "-")+"\n")
		}
	}
	got := strings.Join(lines, "")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(text) {
		was := strings.SplitAfter(string(text), "\n")
		for _, line := range lines {
			if !slices.Contains(was, line) {
				t.Errorf("not decided, or changed: %s", line)
			}
		}
		for _, line := range was {
			if line != "" && !slices.Contains(lines, line) {
				t.Errorf("gone, or changed: %s", line)
			}
		}
	}
}

// factsAlone returns the facts that differ from those of an empty structure.
func factsAlone(structure any) facts {
	with := func(structure any) facts {
		s := compose.Service{OwnShm: true}
		switch v := structure.(type) {
		case *container.Config:
			s.Config = *v
		case *container.HostConfig:
			s.HostConfig = *v
		case *network.EndpointSettings:
			s.Networks = []compose.Attachment{{Network: "n", Settings: v}}
		}
		return factsOf(s, hashOf)
	}
	all, empty := with(structure), with(reflect.New(reflect.TypeOf(structure).Elem()).Interface())
	maps.DeleteFunc(all, func(key, value string) bool {
		before, there := empty[key]
		return there && before == value
	})
	return all
}

// leaves returns the paths, as field numbers, of all fields that have no fields
// themselves.
func leaves(t reflect.Type, path []int) [][]int {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map && t.Elem().Kind() != reflect.String {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[netip.Addr]() || t.NumField() == 0 {
		return [][]int{path}
	}
	var all [][]int
	for i := range t.NumField() {
		all = append(all, leaves(t.Field(i).Type, append(slices.Clone(path), i))...)
	}
	return all
}

// setLeaf sets one field, and allocates what contains it.
func setLeaf(v reflect.Value, path []int, names *[]string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		setLeaf(v.Elem(), path, names)
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[network.HardwareAddr]() {
			v.Set(reflect.ValueOf(network.HardwareAddr(net.HardwareAddr{2, 0, 0, 0, 0, 1})))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		setLeaf(v.Index(0), path, names)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		setLeaf(key, nil, names)
		setLeaf(value, path, names)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		if len(path) > 0 {
			*names = append(*names, v.Type().Field(path[0]).Name)
			setLeaf(v.Field(path[0]), path[1:], names)
		} else {
			setWhole(v)
		}
	default:
		setWhole(v)
	}
}

func setWhole(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Array:
		v.Index(0).SetUint(1)
	case reflect.Struct:
		switch v.Type() {
		case reflect.TypeFor[netip.Addr]():
			v.Set(reflect.ValueOf(netip.MustParseAddr("10.0.0.1")))
		case reflect.TypeFor[network.Port]():
			v.Set(reflect.ValueOf(network.MustParsePort("80/tcp")))
		}
	}
}
